package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// wakeUp is what the fake kernel does in one call of the sender: it takes frames, completes
// some of those that it has, by their positions, and may complete the last one that it took
// without sending it.
type wakeUp struct {
	take     int
	complete []int
	refuse   bool
	mtu      int // from now on, if not 0
}

// follow makes the kernel do this, and then take and complete everything in each call.
func (k *fakeKernel) follow(script []wakeUp) {
	k.sender.wake = func() unix.Errno {
		if len(script) == 0 {
			k.take(xdpFrames)
			k.complete(xdpFrames)
			return 0
		}
		do := script[0]
		script = script[1:]
		k.take(do.take)
		for _, position := range do.complete {
			k.completeOne(position)
		}
		if do.mtu != 0 {
			k.sender.mtu = do.mtu
		}
		if !do.refuse {
			return 0
		}
		k.completeOne(len(k.taken) - 1)
		return unix.EBUSY
	}
}

// In whatever order the kernel completes frames, and whichever it refuses, each frame that
// was sent has one timestamp, with its number among the frames that were sent.
func TestTimestampsHaveTheNumbersOfSentFrames(t *testing.T) {
	const all = xdpFrames
	everything := []uint32{0, 1, 2, 3, 4, 5, 6, 7}
	for _, test := range []struct {
		name   string
		script []wakeUp
		sent   []uint32 // of 8 packets
	}{
		{"all at once", nil, everything},
		{"one at a time", []wakeUp{{take: 1}, {take: 1, complete: []int{0}}, {take: 1}}, everything},
		{"in another order", []wakeUp{{take: all, complete: []int{3, 0, 5, 1}}}, everything},
		{"first one refused", []wakeUp{{take: 1, refuse: true}}, everything},
		{"last one refused", []wakeUp{{take: all, refuse: true}}, everything},
		{"refused many times", []wakeUp{{take: 3, refuse: true}, {take: 1, refuse: true}, {take: 1, refuse: true}, {take: 4, refuse: true}}, everything},
		{"refused in another order", []wakeUp{{take: 4, refuse: true}, {take: 2, complete: []int{3, 1}, refuse: true}}, everything},
		{"too long after it was refused", []wakeUp{{take: 3, refuse: true, mtu: 80}}, []uint32{0, 1, 3, 4, 5, 6, 7}},
		{"too long before others are completed", []wakeUp{{take: 2}, {take: 1, refuse: true, mtu: 80}}, []uint32{0, 1, 3, 4, 5, 6, 7}},
		{"all too long", []wakeUp{{take: 1, refuse: true, mtu: 10}}, nil},
	} {
		for _, completesWithdrawn := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				k := newFakeKernel(^uint32(2), true)
				k.completesWithdrawn = completesWithdrawn
				k.follow(test.script)
				packets := make([]stream.Packet, len(everything))
				for i := range packets {
					packets[i].Data = lab.Frame(0, uint32(i), 60)
				}
				packets[2].Data = lab.Frame(0, 2, 100) // too long for an MTU of 80
				if sent := sendAll(t, k.sender, packets); !slices.Equal(sent, test.sent) {
					t.Fatalf("sent %v, wanted %v", sent, test.sent)
				}
				k.complete(all)
				if err := k.sender.Drain(); err != nil {
					t.Fatal(err)
				}
				got := make([]Stamp, all)
				got = got[:k.sender.stamps.take(got)]
				slices.SortFunc(got, func(a, b Stamp) int { return int(a.Frame) - int(b.Frame) })
				var want []Stamp
				for i, sequence := range test.sent {
					want = append(want, Stamp{Frame: uint32(i), Time: k.times[sequence]})
				}
				if !slices.Equal(got, want) {
					t.Errorf("timestamps %v, wanted %v", got, want)
				}
			})
		}
	}
}

// sendAll sends packets, leaves out those that are too long, and returns the sequence
// numbers of the others.
func sendAll(t *testing.T, sender Sender, packets []stream.Packet) (sent []uint32) {
	t.Helper()
	for len(packets) > 0 {
		n, err := sender.Send(packets)
		for i := range n {
			sequence, _ := lab.Sequence(packets[i].Data)
			sent = append(sent, sequence)
		}
		packets = packets[n:]
		switch {
		case errors.Is(err, ErrTooLong):
			packets = packets[1:]
		case err != nil:
			t.Fatal(err)
		}
	}
	return sent
}

// A kernel that does not accept the metadata is named as the reason.
func TestKernelWithoutTimestamps(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	i, err := Lookup("left")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newXDPSender(i, true)
	if err != nil {
		t.Fatal(err)
	}
	s.headroom++ // not a multiple of 8: net/xdp/xdp_umem.c
	err = s.open(i.Index, 0)
	s.Close()
	if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "transmit timestamps need Linux 6.11") {
		t.Error(err)
	}
}

// A frame that the kernel does not timestamp does not get the timestamp of an earlier one.
func TestFramesWithoutTimestamps(t *testing.T) {
	k := newFakeKernel(0, true)
	k.follow(nil)
	packets := lab.Packets(xdpFrames, lab.Start, 0, 60)
	sendAll(t, k.sender, packets)
	k.sender.reap()
	for _, address := range k.sender.free {
		k.sender.metadata(address).flags = 0
	}
	sendAll(t, k.sender, packets)
	if err := k.sender.Drain(); err != nil {
		t.Fatal(err)
	}
	if n := k.sender.stamps.take(make([]Stamp, 2*xdpFrames)); n != xdpFrames {
		t.Errorf("%d timestamps, wanted %d", n, xdpFrames)
	}
}

// A device may complete the last frames after they were sent, or never.
func TestDrainWaitsForTimestamps(t *testing.T) {
	for _, test := range []struct {
		name           string
		after, drained time.Duration
		stamps         int
	}{
		{"soon", completionPatience / 2, completionPatience / 2, 3},
		{"never", time.Hour, completionPatience + drainPoll, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newFakeKernel(0, true)
				k.follow([]wakeUp{{take: 3}})
				if sent := sendAll(t, k.sender, lab.Packets(3, lab.Start, 0, 60)); len(sent) != 3 {
					t.Fatalf("%d sent", len(sent))
				}
				completion := time.AfterFunc(test.after, func() { k.complete(3) })
				defer completion.Stop()
				began := time.Now()
				if err := k.sender.Drain(); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < test.drained || took > test.drained+2*drainPoll {
					t.Errorf("drained for %v, wanted %v", took, test.drained)
				}
				if got := k.sender.stamps.take(make([]Stamp, 4)); got != test.stamps {
					t.Errorf("%d timestamps, wanted %d", got, test.stamps)
				}
			})
		})
	}
}

// A reader that is too slow loses the newest timestamps, and those that it gets are right.
func TestUnreadTimestampsAreLost(t *testing.T) {
	const lost, later = 10, 5
	s := &xdpStamps{noted: ^uint32(99)}
	s.publish()
	s.read.Store(s.noted)
	note := func(frame int) {
		s.note(&xdpMetadata{number: uint32(frame), timestamp: int64(frame) + 1})
		s.publish()
	}
	for frame := range xdpStampLimit + lost {
		note(frame)
	}
	s.remove(xdpStampLimit + lost - 1) // it is lost already
	got := make([]Stamp, 64)
	for frame := 0; frame < xdpStampLimit; {
		n := s.take(got)
		if n == 0 {
			t.Fatalf("%d timestamps, wanted %d", frame, xdpStampLimit)
		}
		for _, stamp := range got[:n] {
			if stamp.Frame != uint32(frame) || stamp.Time != int64(frame)+1 {
				t.Fatalf("timestamp %d: %+v", frame, stamp)
			}
			frame++
		}
	}
	note(later)
	if n := s.take(got); n != 1 || got[0].Frame != later {
		t.Errorf("%d timestamps, %+v", n, got[0])
	}
}

// The kernel knows the difference of the clocks in seconds: adjtimex(2).
func TestOffsetOfTAI(t *testing.T) {
	var clock unix.Timex
	if _, err := unix.Adjtimex(&clock); err != nil {
		t.Skip(err)
	}
	if got, err := taiOffset(); got != int64(clock.Tai)*int64(time.Second) || err != nil {
		t.Errorf("%d ns, wanted %d s; %v", got, clock.Tai, err)
	}
}
