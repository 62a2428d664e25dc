package schedule

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// fakeClock goes on by itself, a little with each look at it, and wakes up late.
type fakeClock struct {
	now     atomic.Int64
	looks   int64        // nanoseconds that a look takes
	wakeUps func() int64 // how late the next one is
}

func newFakeClock() *fakeClock {
	return &fakeClock{looks: 30, wakeUps: func() int64 { return 60e3 }}
}

func (c *fakeClock) Now() int64 { return c.now.Add(c.looks) }

func (c *fakeClock) SleepUntil(moment int64) {
	c.now.Store(max(moment, c.now.Load()) + c.wakeUps())
}

// fakeSender takes note of what is sent when, and refuses some.
type fakeSender struct {
	clock   *fakeClock
	cost    int64 // of a frame, in nanoseconds
	moments []int64
	frames  [][]byte
	refuse  func(frame []byte) error
	isFull  func() bool // it has no room for a frame, and pauses before the first one
	flushed int
	warmed  []int64 // when
	warm    func()
}

func (s *fakeSender) Send(packets []stream.Packet) (sent int, err error) {
	for i := range packets {
		if s.isFull != nil && s.isFull() {
			if i == 0 {
				s.clock.now.Add(int64(time.Millisecond))
			}
			return i, nil
		}
		if s.refuse != nil {
			if err := s.refuse(packets[i].Data); err != nil {
				return i, err
			}
		}
		s.moments = append(s.moments, s.clock.now.Load())
		s.clock.now.Add(s.cost)
		s.frames = append(s.frames, bytes.Clone(packets[i].Data))
	}
	return len(packets), nil
}

func (s *fakeSender) Flush() error { s.flushed++; return nil }

func (s *fakeSender) WarmUp() {
	s.warmed = append(s.warmed, s.clock.now.Load())
	s.clock.now.Add(4e3)
	if s.warm != nil {
		s.warm()
	}
}

func newTransmission(clock *fakeClock, packets, size int) (*Transmission, *fakeSender) {
	sender := &fakeSender{clock: clock}
	epoch := &Epoch{}
	return &Transmission{
		Ring: NewRing(packets, size), Sender: sender, Clock: clock, Epoch: epoch,
		Delay: 200 * time.Millisecond, Lateness: NewLateness(),
	}, sender
}

// fill puts packets at departures, all of which arrive at once.
func fill(t *testing.T, ring *Ring, departures []int64) {
	t.Helper()
	for i, departure := range departures {
		packet := stream.Packet{Data: lab.Frame(0, uint32(i), 60)}
		if !ring.Put(&packet, departure, 0, true) {
			t.Fatalf("no room for packet %d", i)
		}
	}
	ring.Close()
}

func TestEachPacketLeavesAtItsMoment(t *testing.T) {
	clock := newFakeClock()
	transmission, sender := newTransmission(clock, 1<<15, 4<<20)
	transmission.Epoch.Set(200e6)
	departures := make([]int64, 4000)
	for i := range departures {
		departures[i] = int64(i) * 50e3 // 20 kpps
	}
	fill(t, transmission.Ring, departures)
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if len(sender.moments) != len(departures) {
		t.Fatalf("%d packets left, wanted %d", len(sender.moments), len(departures))
	}
	for i, moment := range sender.moments {
		if late := moment - 200e6 - departures[i]; late < 0 || late > 200 {
			t.Fatalf("packet %d left %d ns late", i, late)
		}
		if sequence, _ := lab.Sequence(sender.frames[i]); sequence != uint32(i) {
			t.Fatalf("frame %d has the number %d", i, sequence)
		}
	}
	packets, frames, size := transmission.Sent()
	underruns, _ := transmission.Underruns()
	if packets != 4000 || frames != 4000 || size != 4000*60 || underruns != 0 {
		t.Errorf("sent %d packets, %d frames, %d bytes, %d underruns", packets, frames, size, underruns)
	}
	if q := MergeLateness(transmission.Lateness); q.Max > 200 {
		t.Errorf("lateness %+v", q)
	}
}

// What a device has no room for leaves later, and its lateness says so. What it took before
// is not late.
func TestLatenessOfWhatADeviceRefusesAtFirst(t *testing.T) {
	clock := newFakeClock()
	transmission, sender := newTransmission(clock, 1024, 1<<20)
	transmission.Epoch.Set(1e9)
	const room, until = 150, int64(1e9 + 50e6)
	sender.isFull = func() bool { return len(sender.moments) == room && clock.Now() < until }
	fill(t, transmission.Ring, make([]int64, 200))
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	transmission.Lateness.Settle()
	if len(sender.moments) != 200 || transmission.Lateness.histogram.TotalCount() != 200 {
		t.Fatalf("%d packets left, and the lateness of %d is known", len(sender.moments), transmission.Lateness.histogram.TotalCount())
	}
	if q := MergeLateness(transmission.Lateness); q.P50 > 1e3 || q.P90 < 49e6 || q.Max > 52e6 {
		t.Errorf("lateness %+v, wanted about 50 ms of a quarter", q)
	}
	if _, ended := transmission.Span(); ended < until {
		t.Errorf("the last packet left %d ns before the device had room", until-ended)
	}
}

// A send is warmed up when it comes after a pause, and shortly before its moment.
func TestSendsAreWarmedUpBeforeTheirMoments(t *testing.T) {
	clock := newFakeClock()
	transmission, sender := newTransmission(clock, 1024, 1<<20)
	transmission.Epoch.Set(1e9)
	departures := []int64{0, 5e3, 1e6, 1e6 + 3e3, 1e6 + 200e3}
	fill(t, transmission.Ring, departures)
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if len(sender.warmed) != 3 {
		t.Fatalf("%d sends were warmed up, wanted 3", len(sender.warmed))
	}
	for i, departure := range []int64{0, 1e6, 1e6 + 200e3} {
		if before := 1e9 + departure - sender.warmed[i]; before < warmUp/2 || before > warmUp {
			t.Errorf("warmed up %d ns before departure %d", before, departure)
		}
	}
	for i, moment := range sender.moments {
		if late := moment - 1e9 - departures[i]; late < 0 || late > 200 {
			t.Errorf("packet %d left %d ns late", i, late)
		}
	}
}

// evenly returns departures with equal gaps.
func evenly(count, gap int64) []int64 {
	departures := make([]int64, count)
	for i := range departures {
		departures[i] = int64(i) * gap
	}
	return departures
}

// A packet that left late does not move those behind it.
func TestLatePacketsDoNotAddUp(t *testing.T) {
	clock := newFakeClock()
	random := rand.New(rand.NewPCG(1, 1))
	clock.wakeUps = func() int64 { return random.Int64N(2e6) } // often past the moment
	transmission, sender := newTransmission(clock, 1024, 1<<20)
	transmission.Epoch.Set(1e9)
	departures := evenly(1000, 1e6)
	fill(t, transmission.Ring, departures)
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	for i, moment := range sender.moments {
		if late := moment - 1e9 - departures[i]; late < 0 || late > 2e6 {
			t.Fatalf("packet %d left %d ns late", i, late)
		}
	}
}

func TestMarginFollowsTheWakeUps(t *testing.T) {
	clock := newFakeClock()
	waiter := NewWaiter(clock, func() bool { return false })
	settle := func(wakeUp int64) {
		clock.wakeUps = func() int64 { return wakeUp }
		for range 10000 {
			if _, ok := waiter.Until(clock.now.Load() + 1e6); !ok {
				t.Fatal("stopped")
			}
		}
	}
	settle(100e3)
	if waiter.margin < 99e3 || waiter.margin > 100e3+marginUp {
		t.Errorf("margin %d for wake-ups of 100 us", waiter.margin)
	}
	settle(1e3)
	if waiter.margin > minMargin {
		t.Errorf("margin %d for wake-ups of 1 us", waiter.margin)
	}
	settle(50e6)
	if waiter.margin > maxMargin {
		t.Errorf("margin %d for wake-ups of 50 ms", waiter.margin)
	}
}

func TestStopIsHeardInALongSleep(t *testing.T) {
	clock := newFakeClock()
	sleeps := 0
	clock.wakeUps = func() int64 { sleeps++; return 0 }
	waiter := NewWaiter(clock, func() bool { return sleeps == 3 })
	if now, ok := waiter.Until(3600e9); ok || now > 100e6 {
		t.Errorf("waited until %d, ok %v", now, ok)
	}
}

// When the source falls silent for longer than the delay, what follows leaves with
// its gaps, after a fresh delay.
func TestUnderrunMovesTheOrigin(t *testing.T) {
	for _, test := range []struct {
		name  string
		fixed bool
		want  []int64 // moments in ms
	}{
		{"playing", false, []int64{200, 210, 1200, 1210, 1220}},
		{"at fixed moments", true, []int64{200, 210, 1000, 1000, 1000}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := newFakeClock()
				clock.wakeUps = func() int64 { return 0 }
				transmission, sender := newTransmission(clock, 16, 1<<16)
				transmission.Epoch.Fixed = test.fixed
				transmission.Epoch.Set(200e6)
				put := func(departures ...int64) {
					arrival := clock.now.Load()
					for i, departure := range departures {
						packet := stream.Packet{Data: []byte{byte(i)}}
						transmission.Ring.Put(&packet, departure*1e6, arrival, true)
					}
					transmission.Ring.Publish()
				}
				put(0, 10)
				type outcome struct {
					underruns []*Underrun
					err       error
				}
				ended := make(chan outcome)
				go func() {
					underruns, _, err := runToTheEnd(transmission)
					ended <- outcome{underruns, err}
				}()
				synctest.Wait() // both have left
				clock.now.Store(1000e6)
				put(20, 30, 40)
				transmission.Ring.Close()
				run := <-ended
				if run.err != nil {
					t.Fatal(run.err)
				}
				underruns := run.underruns
				got := make([]int64, len(sender.moments))
				for i, moment := range sender.moments {
					got[i] = moment / 1e6
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("left at %v ms, wanted %v", got, test.want)
				}
				counted, stalls := transmission.Underruns()
				if counted != 1 || stalls != 0 || len(underruns) != 1 || underruns[0].Missing/1e6 != 780 || underruns[0].Departure != 20e6 {
					t.Errorf("%d underruns, %d of them stalls: %v", counted, stalls, underruns)
				}
			})
		})
	}
}

// Packets that were there in time are late, not missing, when the sender could
// not keep up.
func TestASlowSenderIsNoUnderrun(t *testing.T) {
	clock := newFakeClock()
	transmission, sender := newTransmission(clock, 1024, 1<<20)
	sender.cost = 1e6
	transmission.Epoch.Set(200e6)
	fill(t, transmission.Ring, make([]int64, 1000))
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if underruns, _ := transmission.Underruns(); len(sender.frames) != 1000 || underruns != 0 {
		t.Errorf("%d packets left, %d underruns", len(sender.frames), underruns)
	}
}

// A process that is stopped for a while goes on where it was, wherever the stop caught it:
// while it sleeps, while it polls the clock, or while it sends. With fixed moments, what
// was due meanwhile leaves at once.
func TestAStopMakesNoBurst(t *testing.T) {
	const gap, stop, stopped = int64(1e6), int64(3e9), 400 // at this packet
	for _, where := range []string{"sleeping", "polling", "sending"} {
		for _, fixed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fixed %v", where, fixed), func(t *testing.T) {
				clock := newFakeClock()
				transmission, sender := newTransmission(clock, 1024, 1<<20)
				transmission.Epoch.Fixed = fixed
				transmission.Epoch.Set(200e6)
				due := 200e6 + stopped*gap
				hasStopped := false
				stopOnce := func(from int64) int64 {
					if hasStopped || clock.now.Load() < from {
						return 0
					}
					hasStopped = true
					return stop
				}
				switch where {
				case "sleeping":
					clock.wakeUps = func() int64 { return 60e3 + stopOnce(due-gap/2) }
				case "polling":
					sender.warm = func() { clock.now.Add(stopOnce(due - gap/2)) }
				case "sending":
					sender.refuse = func([]byte) error { clock.now.Add(stopOnce(due)); return nil }
				}
				departures := make([]int64, 1000)
				for i := range departures {
					departures[i] = int64(i) * gap
				}
				fill(t, transmission.Ring, departures)
				underruns, _, err := runToTheEnd(transmission)
				if err != nil {
					t.Fatal(err)
				}
				counted, stalls := transmission.Underruns()
				if len(underruns) != 1 || !underruns[0].Stalled || counted != 1 || stalls != 1 || underruns[0].Missing < stop-3*gap || underruns[0].Missing > stop {
					t.Errorf("%d underruns, %d of them stalls: %v", counted, stalls, underruns)
				}
				atOnce := 0
				for i := 1; i < len(sender.moments); i++ {
					if sender.moments[i]-sender.moments[i-1] < gap/2 {
						atOnce++
					}
				}
				switch last := sender.moments[999] - 200e6 - 999*gap; {
				case !fixed && (atOnce > 1 || last < stop-3*gap || last > stop+gap):
					t.Errorf("%d packets left at once, the last one %d ns late", atOnce, last)
				case fixed && (atOnce < 500 || last < stop-600*gap):
					t.Errorf("%d packets left at once, the last one %d ns late", atOnce, last)
				}
				if q := MergeLateness(transmission.Lateness); !fixed && q.P99 > 2e6 {
					t.Errorf("the stop counts as lateness: %+v", q)
				}
			})
		}
	}
}

// A long pause is announced once, before it begins, and then waited for.
func TestLongPausesAreAnnounced(t *testing.T) {
	clock := newFakeClock()
	clock.wakeUps = func() int64 { return 0 }
	transmission, sender := newTransmission(clock, 16, 1<<16)
	transmission.Epoch.Set(200e6)
	fill(t, transmission.Ring, []int64{0, PauseLimit, PauseLimit + 1e6, 3*PauseLimit + 1e6})
	var pause *LongPause
	if err := transmission.Run(); !errors.As(err, &pause) || *pause != (LongPause{3*PauseLimit + 1e6, 200e6 + 3*PauseLimit + 1e6}) {
		t.Fatalf("%v, wanted the pause of two minutes", err)
	}
	if len(sender.frames) != 3 {
		t.Errorf("announced behind %d frames, wanted 3", len(sender.frames))
	}
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if late := sender.moments[3] - 200e6 - 3*PauseLimit - 1e6; late < 0 || late > 200 {
		t.Errorf("the packet behind the pause left %d ns late", late)
	}
}

func TestAheadIsHowFarTheReaderIs(t *testing.T) {
	transmission, _ := newTransmission(newFakeClock(), 16, 1<<16)
	transmission.Epoch.Set(1e9)
	if ahead := transmission.Ahead(0); ahead != 0 {
		t.Errorf("an empty ring is %v ahead", ahead)
	}
	fill(t, transmission.Ring, []int64{0, 500e6})
	if ahead := transmission.Ahead(1.2e9); ahead != 300*time.Millisecond {
		t.Errorf("%v ahead, wanted 300ms", ahead)
	}
	if ahead := transmission.Ahead(2e9); ahead != 0 {
		t.Errorf("%v ahead after the last departure", ahead)
	}
}

// Lateness below the limit is made up for: it moves no packet.
func TestASmallDelayIsNoStall(t *testing.T) {
	clock := newFakeClock()
	transmission, sender := newTransmission(clock, 1024, 1<<20)
	transmission.Epoch.Set(200e6)
	slept := 0
	clock.wakeUps = func() int64 {
		if slept++; slept == 100 {
			return StallLimit - 2e6
		}
		return 60e3
	}
	departures := evenly(1000, 1e6)
	fill(t, transmission.Ring, departures)
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if late := sender.moments[999] - 200e6 - 999e6; late < 0 || late > 200 {
		t.Errorf("the last packet left %d ns late", late)
	}
}

// runToTheEnd goes on behind every underrun and refusal.
func runToTheEnd(transmission *Transmission) (underruns []*Underrun, refusals []*Refusal, err error) {
	for {
		err := transmission.Run()
		var underrun *Underrun
		var refusal *Refusal
		var pause *LongPause
		switch {
		case errors.As(err, &pause):
		case errors.As(err, &underrun):
			underruns = append(underruns, underrun)
		case errors.As(err, &refusal):
			refusals = append(refusals, refusal)
		default:
			return underruns, refusals, err
		}
	}
}

// A refused frame comes back as an error, with its room given back, and the next run goes
// on behind it.
func TestRefusedFramesComeBack(t *testing.T) {
	tooLong := errors.New("too long")
	clock := newFakeClock()
	transmission, sender := newTransmission(clock, 64, 1<<16)
	sender.refuse = func(frame []byte) error {
		if sequence, _ := lab.Sequence(frame); sequence%3 == 0 {
			return tooLong
		}
		return nil
	}
	for i := range 50 {
		packet := stream.Packet{Data: lab.Frame(0, uint32(i), 60), Time: int64(i)}
		transmission.Ring.Put(&packet, 0, 0, i%2 == 0)
	}
	transmission.Ring.Close()
	transmission.Immediately = true
	for refused := int64(0); refused < 50; refused += 3 {
		err := transmission.Run()
		var refusal *Refusal
		if !errors.As(err, &refusal) || *refusal != (Refusal{Time: refused, Last: refused%2 == 0, Err: tooLong}) {
			t.Fatalf("ended with %+v, wanted the refusal of frame %d", err, refused)
		}
		if left := transmission.Ring.Len(); left != int(49-refused) {
			t.Fatalf("%d left in the ring behind frame %d", left, refused)
		}
	}
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if _, frames, _ := transmission.Sent(); frames != 33 || len(sender.frames) != 33 {
		t.Errorf("%d frames sent, %d arrived, wanted 33", frames, len(sender.frames))
	}
}

// The rest of what was due is sent at its moment when a frame was refused: it is late by
// what the refusals took, and no underrun beside that of the first frame.
func TestRefusalsMoveNoPacket(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		clock := newFakeClock()
		transmission, sender := newTransmission(clock, 64, 1<<16)
		transmission.Epoch.Fixed = fixed
		transmission.Epoch.Set(0)
		down := errors.New("down")
		sender.refuse = func(frame []byte) error {
			if sequence, _ := lab.Sequence(frame); sequence%2 == 0 {
				return down
			}
			return nil
		}
		clock.now.Store(300e6)
		for i := range 40 { // twenty at 0, twenty at 1 s, of which the first ones come too late
			packet := stream.Packet{Data: lab.Frame(0, uint32(i), 60)}
			transmission.Ring.Put(&packet, int64(i/20)*1e9, 200e6, true)
		}
		transmission.Ring.Close()
		underruns, refusals, err := runToTheEnd(transmission)
		if err != nil {
			t.Fatal(err)
		}
		if counted, _ := transmission.Underruns(); len(underruns) != 1 || counted != 1 || len(refusals) != 20 || len(sender.frames) != 20 {
			t.Errorf("fixed %v: %d underruns, %d refusals, %d frames sent", fixed, len(underruns), len(refusals), len(sender.frames))
		}
		first, second := int64(500e6), int64(1500e6)
		if fixed {
			first, second = 300e6, 1e9
		}
		for i, moment := range sender.moments {
			want := first
			if i >= 10 {
				want = second
			}
			if late := moment - want; late < 0 || late > 20e3 {
				t.Errorf("fixed %v: frame %d left %d ns late", fixed, i, late)
			}
		}
	}
}

// --duration ends a stream that has fallen silent.
func TestEndOfASilentStream(t *testing.T) {
	transmission := &Transmission{
		Ring: NewRing(16, 1<<16), Sender: &fakeSender{clock: newFakeClock()}, Clock: System, Epoch: &Epoch{},
		End: int64(20 * time.Millisecond), Lateness: NewLateness(),
	}
	packet := stream.Packet{Data: []byte{1}}
	transmission.Epoch.Set(System.Now())
	transmission.Ring.Put(&packet, 0, 0, true)
	transmission.Ring.Publish()
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if packets, _, _ := transmission.Sent(); packets != 1 {
		t.Errorf("%d packets sent", packets)
	}
}

// Without regard to departures, the end comes though packets are left.
func TestEndOfAFullRing(t *testing.T) {
	clock := newFakeClock()
	transmission, sender := newTransmission(clock, 4096, 1<<20)
	transmission.Immediately, transmission.End = true, 1e9
	sender.cost = 1e6
	transmission.Epoch.Set(0)
	fill(t, transmission.Ring, make([]int64, 3000))
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if sent := len(sender.frames); sent < 1000 || sent >= 1000+maxBatch {
		t.Errorf("%d packets of 1 ms each were sent within a second", sent)
	}
}

func TestAbandonEndsAWait(t *testing.T) {
	transmission, _ := newTransmission(newFakeClock(), 16, 1<<16)
	ended := make(chan error)
	go func() { ended <- transmission.Run() }()
	transmission.Ring.Abandon()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if transmission.Ring.WaitForRoom(transmission.Clock, time.Millisecond) {
		t.Error("there is room in an abandoned ring")
	}
}

// Pieces of one packet count once.
func TestPiecesCountAsOnePacket(t *testing.T) {
	transmission, _ := newTransmission(newFakeClock(), 16, 1<<16)
	for i := range 6 {
		packet := stream.Packet{Data: make([]byte, 10)}
		transmission.Ring.Put(&packet, 0, 0, i%3 == 2)
	}
	transmission.Ring.Close()
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if packets, frames, size := transmission.Sent(); packets != 2 || frames != 6 || size != 60 {
		t.Errorf("%d packets, %d frames, %d bytes", packets, frames, size)
	}
}

// A ring gives out what was put in, in order, through many turns of it.
func TestRingKeepsEverything(t *testing.T) {
	ring := NewRing(64, 1<<14)
	random := rand.New(rand.NewPCG(1, 2))
	frame := func(i int) []byte { return lab.Frame(uint16(i), uint32(i), 60+i*37%1500) }
	const count = 4000
	go func() {
		for i := range count {
			packet := stream.Packet{Data: frame(i), Time: int64(i)}
			for !ring.Put(&packet, int64(i), 0, true) {
				ring.Publish()
				if !ring.WaitForRoom(System, time.Millisecond) {
					return
				}
			}
			if i%7 == 0 {
				ring.Publish()
			}
		}
		ring.Close()
	}()
	for next := 0; next < count; {
		slot, ok := ring.front()
		if !ok {
			<-ring.filled
			continue
		}
		row := ring.row(slot, 1+random.IntN(40))
		for i := slot; i < slot+row; i++ {
			if packet := &ring.packets[i]; packet.Time != int64(next) || !bytes.Equal(packet.Data, frame(next)) {
				t.Fatalf("packet %d came out as %d", next, packet.Time)
			}
			next++
		}
		if fill := ring.Fill(); fill < 0 || fill > 1 {
			t.Fatalf("fill %v", fill)
		}
		ring.release(row)
	}
	if ring.Len() != 0 || ring.Fill() != 0 {
		t.Errorf("%d left, fill %v", ring.Len(), ring.Fill())
	}
}

func TestRingTakesItsLargestPacketAtAnyPlace(t *testing.T) {
	ring := NewRing(64, 1<<14)
	for i := range 100 {
		small, large := stream.Packet{Data: make([]byte, 1+i*61%4000)}, stream.Packet{Data: make([]byte, ring.MaxPacket())}
		if !ring.Put(&small, 0, 0, true) || !ring.Put(&large, 0, 0, true) {
			t.Fatalf("no room in turn %d", i)
		}
		ring.Publish()
		ring.release(2)
	}
}

// nullSender is fast enough to measure the loop by.
type nullSender struct{}

func (nullSender) Send(packets []stream.Packet) (int, error) { return len(packets), nil }
func (nullSender) Flush() error                              { return nil }
func (nullSender) WarmUp()                                   {}

func TestTheLoopDoesNotAllocate(t *testing.T) {
	clock := newFakeClock()
	clock.looks = 1000
	transmission, _ := newTransmission(clock, 1<<10, 1<<20)
	transmission.Sender = nullSender{}
	transmission.waiter = NewWaiter(transmission.Clock, func() bool { return false })
	transmission.Epoch.Set(1e9)
	axis := NewAxis(TimeScale{})
	packet := stream.Packet{Data: lab.Frame(0, 0, 100), WireLength: 100}
	allocated := testing.AllocsPerRun(1000, func() {
		for range 10 {
			packet.Time += 1e5
			if !transmission.Ring.Put(&packet, axis.Departure(&packet), 0, true) {
				t.Fatal("no room")
			}
		}
		transmission.Ring.Publish()
		for transmission.Ring.Len() > 0 {
			slot, _ := transmission.Ring.front()
			if err := transmission.sendFrom(slot); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations for 10 packets", allocated)
	}
}

func TestLatenessWhileSomebodyAsks(t *testing.T) {
	l := NewLateness()
	l.mutex.Lock()
	for i := range int64(100) {
		l.Record(i * 1e3)
	}
	l.mutex.Unlock()
	l.Record(1e9)
	l.Record(-5)
	l.Record(1e15)
	l.Settle()
	q := MergeLateness(l, NewLateness())
	if total := l.histogram.TotalCount(); total != 103 || q.P50 < 48e3 || q.P50 > 52e3 || q.Max < maxLateness {
		t.Errorf("%d recorded, %+v", total, q)
	}
}

// The system's clock agrees with the kernel's, by which it sleeps.
func TestSystemClock(t *testing.T) {
	for range 3 {
		moment := System.Now() + 2e6
		System.SleepUntil(moment)
		if now := System.Now(); now < moment-5e3 {
			t.Errorf("woke up %d ns early", moment-now)
		}
	}
	if off := time.Duration(WallTime(System.Now()) - time.Now().UnixNano()); off.Abs() > 100*time.Millisecond {
		t.Errorf("wall time is off by %v", off)
	}
}

// The time for which the machine was suspended passes on the clock, and a sleep behind it
// is no longer.
func TestSystemClockGoesOnWhileSuspended(t *testing.T) {
	clock := newSystemClock()
	before := clock.Now()
	clock.noteSuspension(suspensionNoise / 2)
	clock.noteSuspension(3600e9)
	start := time.Now()
	if passed := clock.Now() - before; passed < 3600e9 || passed > 3660e9 {
		t.Errorf("%v passed", time.Duration(passed))
	}
	clock.SleepUntil(clock.Now() + 2e6)
	if slept := time.Since(start); slept < 2*time.Millisecond-5*time.Microsecond || slept > time.Minute {
		t.Errorf("slept %v", slept)
	}
	if passed := clock.Now() - before; passed < 3600e9 {
		t.Errorf("went back to %v", time.Duration(passed))
	}
}

func BenchmarkTransmission(b *testing.B) {
	transmission, _ := newTransmission(newFakeClock(), 1<<12, 1<<20)
	transmission.Sender, transmission.Immediately = nullSender{}, true
	transmission.waiter = NewWaiter(transmission.Clock, func() bool { return false })
	packet := stream.Packet{Data: lab.Frame(0, 0, 60), WireLength: 60}
	for b.Loop() {
		for range 256 {
			transmission.Ring.Put(&packet, 0, 0, true)
		}
		transmission.Ring.Publish()
		for transmission.Ring.Len() > 0 {
			slot, _ := transmission.Ring.front()
			if err := transmission.sendFrom(slot); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/packet")
}
