package wire

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// extendedErrors are the levels and types of control messages with a struct
// sock_extended_err.
var extendedErrors = [][2]int32{{unix.SOL_PACKET, unix.PACKET_TX_TIMESTAMP}, {unix.SOL_IP, unix.IP_RECVERR}, {unix.SOL_IPV6, unix.IPV6_RECVERR}}

// Whatever comes with a transmit timestamp, its time and number are those that
// golang.org/x/sys/unix finds in the control messages.
func FuzzParseStamp(f *testing.F) {
	f.Fuzz(func(t *testing.T, control []byte) {
		got, ok, answer := parseStamp(control)
		messages, err := unix.ParseSocketControlMessage(control)
		if err != nil {
			return // it gives none of the messages before the bad one
		}
		var want Stamp
		var wantAnswer unix.Errno
		hasTime, hasFrame := false, false
		for _, m := range messages {
			switch {
			case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPING && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})):
				var moment unix.Timespec
				copy(bytesOf(&moment), m.Data)
				want.Time, hasTime = moment.Nano(), true
			case slices.Contains(extendedErrors, [2]int32{m.Header.Level, m.Header.Type}) && len(m.Data) >= int(unsafe.Sizeof(unix.SockExtendedErr{})):
				var extended unix.SockExtendedErr
				copy(bytesOf(&extended), m.Data)
				switch extended.Origin {
				case unix.SO_EE_ORIGIN_TIMESTAMPING:
					want.Frame, hasFrame = extended.Data, true
				case unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6:
					wantAnswer = unix.Errno(extended.Errno)
				}
			}
		}
		if ok != (hasTime && hasFrame) || ok && got != want || answer != wantAnswer {
			t.Errorf("%+v, %v, %v; wanted %+v, %v, %v", got, ok, answer, want, hasTime && hasFrame, wantAnswer)
		}
	})
}

// bytesOf is a value of C as it lies in memory.
func bytesOf[T any](value *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(value)), unsafe.Sizeof(*value))
}

// fakeKernel is the other side of the rings of an AF_XDP socket. It follows
// __xsk_generic_xmit in net/xdp/xsk.c of Linux: it takes descriptors in their order, and
// completes those of its frames in the order in which they have been sent.
type fakeKernel struct {
	sender  *xdpSender
	taken   []unix.XDPDesc // frames that are not completed
	arrived [][]byte
	clock   int64            // the number of timestamps it has written
	times   map[uint32]int64 // the last timestamps of the packets, by their sequence
	// completesWithdrawn means that descriptors with invalid addresses are completed, too.
	completesWithdrawn bool
}

// newFakeKernel makes a sender whose rings and memory are ordinary memory. Its
// descriptors are counted from first on.
func newFakeKernel(first uint32, stamped bool) *fakeKernel {
	const producer, consumer, descriptors = 0, 64, 128
	const frameSize = 512 // for the frames of this test
	newRing := func(descriptorSize int) ring {
		r := ring{mapping: make([]byte, descriptors+xdpRing*descriptorSize), descriptors: descriptors}
		r.producer = (*uint32)(unsafe.Pointer(&r.mapping[producer]))
		r.consumer = (*uint32)(unsafe.Pointer(&r.mapping[consumer]))
		*r.producer, *r.consumer = first, first
		return r
	}
	s := &xdpSender{
		name: "fake", control: -1, mtu: 1500, frameSize: frameSize, memory: make([]byte, xdpFrames*frameSize),
		transmit: newRing(int(unsafe.Sizeof(unix.XDPDesc{}))), completion: newRing(8),
		produced: first, completed: first, last: first - 1,
	}
	if stamped {
		s.stamps, s.headroom = &xdpStamps{}, xdpMetadataLength
	}
	s.layOut()
	for k := range s.numbers {
		s.numbers[k] = first - 1
	}
	return &fakeKernel{sender: s, times: map[uint32]int64{}}
}

// take takes up to count frames off the transmit ring.
func (k *fakeKernel) take(count int) {
	r := &k.sender.transmit
	for ; count > 0 && r.consumed() != r.produced(); count-- {
		d := *k.sender.descriptor(r.consumed())
		atomic.AddUint32(r.consumer, 1)
		if k.isValid(d) {
			k.arrived = append(k.arrived, bytes.Clone(k.sender.memory[d.Addr:][:d.Len]))
		}
		if k.isValid(d) || k.completesWithdrawn {
			k.taken = append(k.taken, d)
		}
	}
}

func (k *fakeKernel) isValid(d unix.XDPDesc) bool {
	return d.Addr-uint64(k.sender.headroom) < uint64(len(k.sender.memory))
}

// complete returns up to count frames to the sender.
func (k *fakeKernel) complete(count int) {
	for ; count > 0 && len(k.taken) > 0; count-- {
		k.completeOne(0)
	}
}

// completeOne returns one of the taken frames. It writes the timestamp first: see
// xsk_destruct_skb in net/xdp/xsk.c.
func (k *fakeKernel) completeOne(position int) {
	r, d := &k.sender.completion, k.taken[position]
	k.taken = slices.Delete(k.taken, position, position+1)
	if d.Options&unix.XDP_TX_METADATA != 0 && k.isValid(d) {
		if metadata := k.sender.metadata(d.Addr); metadata.flags == unix.XDP_TXMD_FLAGS_TIMESTAMP {
			k.clock++
			metadata.timestamp = k.clock
			sequence, _ := lab.Sequence(k.sender.memory[d.Addr:][:d.Len])
			k.times[sequence] = k.clock
		}
	}
	at := r.descriptors + uint64(r.produced()%xdpRing)*8
	binary.NativeEndian.PutUint64(r.mapping[at:], d.Addr)
	atomic.AddUint32(r.producer, 1)
}

// In whatever steps the kernel takes and completes frames, and wherever the numbers of
// the descriptors begin, every frame arrives once, whole and in order, and every frame of
// the memory is either free or under way. With timestamps, every frame has one.
func FuzzRings(f *testing.F) {
	f.Fuzz(func(t *testing.T, first uint32, steps []byte) {
		for _, stamped := range []bool{false, true} {
			sendInSteps(t, newFakeKernel(first, stamped), first, steps)
		}
	})
}

func sendInSteps(t *testing.T, k *fakeKernel, first uint32, steps []byte) {
	s := k.sender
	var given [][]byte
	var stamped int
	for len(steps) >= 3 {
		packets := make([]stream.Packet, min(int(steps[0]), xdpBatch))
		for i := range packets {
			packets[i].Data = lab.Frame(0, uint32(len(given)+i), 60+i)
		}
		n, refused := s.fill(packets)
		s.sent += uint32(n)
		if refused != nil || n < len(packets) && len(s.free) > 0 {
			t.Fatalf("%d of %d frames on the ring, %d free: %v", n, len(packets), len(s.free), refused)
		}
		for i := range n {
			given = append(given, packets[i].Data)
		}
		k.take(int(steps[1]))
		k.complete(int(steps[2]))
		s.reap()
		stamped += checkStamps(t, s, stamped)
		checkFrames(t, k, first, len(given))
		steps = steps[3:]
	}
	k.take(len(given))
	k.complete(len(given))
	s.reap()
	stamped += checkStamps(t, s, stamped)
	checkFrames(t, k, first, len(given))
	if s.stamps != nil && stamped != len(given) {
		t.Fatalf("%d timestamps, wanted %d", stamped, len(given))
	}
	if len(s.free) != xdpFrames || len(k.arrived) != len(given) {
		t.Fatalf("%d frames free of %d, %d arrived of %d", len(s.free), xdpFrames, len(k.arrived), len(given))
	}
	for i := range given {
		if !bytes.Equal(k.arrived[i], given[i]) {
			t.Fatalf("frame %d arrived as another", i)
		}
	}
}

// checkStamps checks the new timestamps, of which the first is that of the frame with this
// number, and returns how many there are.
func checkStamps(t *testing.T, s *xdpSender, number int) (count int) {
	t.Helper()
	if s.stamps == nil {
		return 0
	}
	s.stamps.publish()
	var stamps [xdpFrames]Stamp
	count = s.stamps.take(stamps[:])
	for i, got := range stamps[:count] {
		if want := (Stamp{Frame: uint32(number + i), Time: int64(number + i + 1)}); got != want {
			t.Fatalf("timestamp %+v, wanted %+v", got, want)
		}
	}
	return count
}

// checkFrames checks that every frame of the memory is in one place, and that the sender
// knows which descriptor was completed last.
func checkFrames(t *testing.T, k *fakeKernel, first uint32, given int) {
	t.Helper()
	s := k.sender
	addresses := slices.Clone(s.free)
	for _, d := range k.taken {
		addresses = append(addresses, d.Addr)
	}
	for number := s.transmit.consumed(); number != s.transmit.produced(); number++ {
		addresses = append(addresses, s.descriptor(number).Addr)
	}
	var places [xdpFrames]int
	for _, address := range addresses {
		if address%uint64(s.frameSize) != uint64(s.headroom) {
			t.Fatalf("a frame begins at %d", address)
		}
		places[address/uint64(s.frameSize)]++
	}
	for number, count := range places {
		if count != 1 {
			t.Fatalf("frame %d is in %d places", number, count)
		}
	}
	waiting := int(s.transmit.produced()-s.transmit.consumed()) + len(k.taken)
	if completed := int(s.last + 1 - first); completed != given-waiting {
		t.Fatalf("%d frames completed, wanted %d", completed, given-waiting)
	}
}
