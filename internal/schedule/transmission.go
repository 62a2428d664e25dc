package schedule

import (
	"fmt"
	"sync/atomic"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/stream"
)

// Sender sends packets.
type Sender interface {
	// WarmUp is called shortly before a Send at a departure. It loads the code and data
	// that Send needs into the caches of this core.
	WarmUp()
	// Send sends packets in order and returns how many it sent. The error is that of
	// packets[sent]. Without an error, it is fewer than all if the device had no room: the
	// others are to be sent again, at the time that it is then.
	Send(packets []stream.Packet) (sent int, err error)
	// Flush is called after every Send. The data of the frames does not change until then.
	Flush() error
}

// Epoch is the moment of departure 0. The reader of the stream sets it before it puts the
// first packet. Several transmissions may share it.
type Epoch struct {
	moment atomic.Int64
	set    atomic.Bool
	// Fixed means that underruns do not move the epoch.
	Fixed bool
}

// Set sets the moment of departure 0.
func (e *Epoch) Set(moment int64) { e.moment.Store(moment); e.set.Store(true) }

// after returns the moment of a departure.
func (e *Epoch) after(departure int64) int64 { return duration.After(e.moment.Load(), departure) }

// move moves the epoch to later, unless another transmission has moved it.
func (e *Epoch) move(from, by int64) { e.moment.CompareAndSwap(from, duration.After(from, by)) }

// Refusal is the error of a frame that the sender did not send. The frame has left the
// ring.
type Refusal struct {
	// Time and Direction are those of the packet. Last means that no further frame of the
	// same packet follows.
	Time      int64
	Direction stream.Direction
	Last      bool
	Err       error // error of the sender
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the error of the sender.
func (r *Refusal) Unwrap() error { return r.Err }

// Underrun is the error of a packet that could not leave when it was due: it arrived too
// late, or sending was blocked for a while. The packet stays in the ring and leaves next.
type Underrun struct {
	Departure int64
	// Missing is how late the packet was, in nanoseconds.
	Missing int64
	// Stalled means that the packet arrived in time, but sending was blocked: see
	// StallLimit.
	Stalled bool
}

func (u *Underrun) Error() string {
	if u.Stalled {
		return fmt.Sprintf("nothing was sent for %v", time.Duration(u.Missing))
	}
	return fmt.Sprintf("packet came %v after its departure", time.Duration(u.Missing))
}

// LongPause is the error of a packet that is due later than PauseLimit from now. It is
// returned once per packet, before the wait.
type LongPause struct {
	Departure int64
	Until     int64 // moment
}

func (p *LongPause) Error() string {
	return fmt.Sprintf("next packet leaves %v after the first", time.Duration(p.Departure))
}

// PauseLimit is the length of a wait after which a user may think that the program hangs.
const PauseLimit = int64(time.Minute)

// StallLimit is the length of a delay from which it counts as a stall rather than lateness:
// the process or the machine was stopped, or the output accepted nothing. The packets that
// were due in a stall are not sent in a burst.
//
// The limit is between the two cases. A thread that waits for a core is late by at most
// about 100 ms: the kernel takes 50 ms of each second from real-time threads, and a control
// group that has used up its share waits for the end of a period of 100 ms. When a user
// stops a process, or a machine is paused for a snapshot, it takes a second or more.
const StallLimit = int64(500 * time.Millisecond)

// Stalled reports whether something that was due was delayed by a stall until now. seen is
// when the caller last read the clock.
func Stalled(due, seen, now int64) bool { return now-max(due, seen) > StallLimit }

// Transmission sends the packets of a ring, each at its departure.
type Transmission struct {
	Ring   *Ring
	Sender Sender
	Clock  Clock
	Epoch  *Epoch
	// Delay is the delay after an underrun: the epoch moves so that the packet leaves this
	// long after it was found late. After a stall the buffer is as full as before, so it is
	// not needed.
	Delay time.Duration
	// Immediately sends without waiting for departures.
	Immediately bool
	// End stops at this departure, even if no packet arrives. 0 means no end. With
	// Immediately, it stops at that time even if packets are left.
	End int64
	// Spin polls the clock instead of sleeping.
	Spin bool
	// Thread is not nil for a real-time thread, which must sleep at times.
	Thread *RealtimeThread

	Lateness *Lateness
	// Deadlines, if not empty, record when each frame is due. If there are two, the second
	// one is for outbound frames, which the sender numbers apart.
	Deadlines []*Deadlines

	sent, frames, bytes atomic.Int64
	underruns, stalls   atomic.Int64
	began, ended        atomic.Int64 // moments of the first and last Send
	waiter              *Waiter
	behind              bool  // packets arrive too late for a fixed epoch
	seen                int64 // when this thread last read the clock before it sent
	paused              int64 // end of the last long pause that was reported
	touched             byte  // keeps the reads of touch from being optimized away
}

// maxBatch is the maximum number of packets per Send.
const maxBatch = 256

// warmUp is how long before its departure a send is warmed up, in nanoseconds. Warming up
// takes 1 to 5 us, and caches were seen to cool down within 100 us.
const warmUp = int64(20 * time.Microsecond)

// gathering is how long a thread that is faster than the reader waits for more packets, in
// nanoseconds. Waking up for every few packets would slow down both of them.
const gathering = int64(50 * time.Microsecond)

// Sent returns the numbers of packets and frames that were sent, and the bytes of the
// frames.
func (t *Transmission) Sent() (packets, frames, bytes int64) {
	return t.sent.Load(), t.frames.Load(), t.bytes.Load()
}

// Underruns returns how many packets could not leave when they were due, and how many of
// these were stalls. The others arrived too late.
func (t *Transmission) Underruns() (all, stalls int64) { return t.underruns.Load(), t.stalls.Load() }

// Ahead is the time from now to the departure of the last packet that was read. It is 0 if
// no packet waits. It is safe for concurrent use.
func (t *Transmission) Ahead(now int64) time.Duration {
	if t.Ring.Len() == 0 {
		return 0
	}
	return time.Duration(max(t.Epoch.after(t.Ring.newest.Load())-now, 0))
}

// Span returns the moments of the first and the last send, or 0 before the first one.
func (t *Transmission) Span() (began, ended int64) { return t.began.Load(), t.ended.Load() }

// Run sends until the ring is closed and empty, or abandoned. After a [*Refusal], an
// [*Underrun] or a [*LongPause], the caller may call it again, and it continues with the
// next frame. Any other error is that of Flush, and ends the transmission. The caller locks
// the goroutine to its thread, and settles Lateness at the end.
func (t *Transmission) Run() error {
	if t.waiter == nil {
		t.waiter = NewWaiter(t.Clock, t.Ring.abandoned.Load)
		t.waiter.spins, t.waiter.thread = t.Spin, t.Thread
	}
	for {
		slot, ok := t.next()
		if !ok {
			return nil
		}
		if err := t.sendFrom(slot); err != nil {
			return err
		}
	}
}

// next waits for a packet in the ring. ok is false at the end.
func (t *Transmission) next() (slot int, ok bool) {
	for !t.Ring.abandoned.Load() && !t.isOver() {
		closed := t.Ring.closed.Load() // before front, otherwise the last packet is missed
		if slot, ok := t.Ring.front(); ok {
			return slot, true
		}
		if closed {
			return 0, false
		}
		began := t.Clock.Now()
		more := t.waitForPacket()
		t.waiter.slept += t.Clock.Now() - began
		if !more {
			return 0, false
		}
	}
	return 0, false
}

// isOver reports whether End has passed for sending without departures.
func (t *Transmission) isOver() bool {
	return t.Immediately && t.End > 0 && t.Epoch.set.Load() && t.Clock.Now() >= t.Epoch.after(t.End)
}

// waitForPacket returns when the ring may have a packet, or false at End.
func (t *Transmission) waitForPacket() (more bool) {
	if t.Immediately {
		t.Clock.SleepUntil(t.Clock.Now() + gathering)
		if t.Ring.Len() > 0 {
			return true
		}
	}
	if t.End == 0 || !t.Epoch.set.Load() {
		<-t.Ring.filled
		return true
	}
	left := time.Duration(t.Epoch.after(t.End) - t.Clock.Now())
	if left <= 0 {
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-t.Ring.filled:
	case <-timer.C:
	}
	return true
}

// sendFrom waits until the packet in slot is due, and sends it with all packets after it that are
// due as well.
func (t *Transmission) sendFrom(slot int) error {
	if t.Immediately {
		return t.send(slot, t.Ring.row(slot, maxBatch), t.Clock.Now())
	}
	now := t.Clock.Now()
	if underrun := t.underrun(slot, now); underrun != nil {
		return underrun
	}
	due := t.due(slot)
	if now >= due {
		t.waiter.rest(now)
		return t.send(slot, t.countDue(slot, now), now)
	}
	if due-now > PauseLimit && due != t.paused {
		t.paused = due
		return &LongPause{Departure: t.Ring.departures[slot], Until: due}
	}
	if !t.waiter.sleepBefore(due) {
		return nil
	}
	if t.waiter.spinUntil(due-warmUp) < due-warmUp/2 {
		t.Sender.WarmUp()
	}
	t.touch(slot)
	count := t.countDue(slot, due)
	now = t.waiter.spinUntil(due)
	if underrun := t.underrun(slot, now); underrun != nil {
		return underrun
	}
	return t.send(slot, count, now)
}

// touch reads a packet into the cache of this core, because another core has written it. line
// is the size of a cache line, in bytes; a frame longer than most is read in Send.
func (t *Transmission) touch(slot int) {
	const line, most = 64, 2048
	data := t.Ring.packets[slot].Data
	for i := 0; i < min(len(data), most); i += line {
		t.touched += data[i]
	}
}

// due is the moment at which the packet in slot is to leave.
func (t *Transmission) due(slot int) int64 { return t.Epoch.after(t.Ring.departures[slot]) }

// underrun returns an underrun if the packet in slot can no longer leave when it is due. This
// packet and all packets after it then leave later by the same time, so that no burst follows. A
// fixed epoch does not move, and all late packets up to the next one in time are one underrun.
func (t *Transmission) underrun(slot int, now int64) *Underrun {
	epoch, departure := t.Epoch.moment.Load(), t.Ring.departures[slot]
	due := duration.After(epoch, departure)
	missing := t.Ring.arrivals[slot] - due
	if missing > 0 {
		if t.behind {
			return nil
		}
		t.behind = t.Epoch.Fixed
		t.rebase(epoch, due, now+int64(t.Delay))
		t.underruns.Add(1)
		return &Underrun{Departure: departure, Missing: missing}
	}
	t.behind = false
	if !Stalled(due, t.seen, now) {
		return nil
	}
	t.seen = now
	t.rebase(epoch, due, now)
	t.underruns.Add(1)
	t.stalls.Add(1)
	return &Underrun{Departure: departure, Missing: now - due, Stalled: true}
}

// rebase moves the epoch so that what was due at a moment is due at a later one.
func (t *Transmission) rebase(epoch, due, moment int64) {
	if !t.Epoch.Fixed {
		t.Epoch.move(epoch, moment-due)
	}
}

// countDue is how many packets, from slot on, are due by now. One that came too
// late is left to be found an underrun.
func (t *Transmission) countDue(slot int, now int64) int {
	row := t.Ring.row(slot, maxBatch)
	for i := 1; i < row; i++ {
		if due := t.due(slot + i); due > now || t.Ring.arrivals[slot+i] > due {
			return i
		}
	}
	return row
}

// send sends count packets from slot on, up to one that the sender refuses.
func (t *Transmission) send(slot, count int, now int64) error {
	t.noteDeadlines(slot, count)
	for end := slot + count; ; now = t.Clock.Now() {
		t.seen = now
		sent, err := t.Sender.Send(t.Ring.packets[slot:end])
		flushErr := t.Sender.Flush()
		t.account(slot, sent, now)
		slot += sent
		switch {
		case flushErr != nil:
			return flushErr
		case err != nil:
			return t.refuse(slot, err)
		case slot == end || t.Ring.abandoned.Load():
			return nil
		}
	}
}

// refuse takes the frame in slot, which is now the oldest one, out of the ring.
func (t *Transmission) refuse(slot int, err error) *Refusal {
	packet := &t.Ring.packets[slot]
	refusal := &Refusal{Time: packet.Time, Direction: packet.Direction, Last: t.Ring.lasts[slot], Err: err}
	t.Ring.release(1)
	return refusal
}

// noteDeadlines takes note before the frames leave, so that nobody learns of one earlier.
func (t *Transmission) noteDeadlines(slot, count int) {
	for _, deadlines := range t.Deadlines {
		deadlines.noted = deadlines.sent // those behind a refused frame are noted again
	}
	for i := slot; len(t.Deadlines) > 0 && i < slot+count; i++ {
		t.deadlinesOf(i).note(t.due(i))
	}
}

// deadlinesOf returns the deadlines for the frame in slot.
func (t *Transmission) deadlinesOf(slot int) *Deadlines {
	if len(t.Deadlines) > 1 && t.Ring.packets[slot].Direction == stream.Outbound {
		return t.Deadlines[1]
	}
	return t.Deadlines[0]
}

// account counts what was sent and gives its room back.
func (t *Transmission) account(slot, sent int, now int64) {
	if sent == 0 {
		return
	}
	bytes, packets := 0, 0
	for i := slot; i < slot+sent; i++ {
		if t.Ring.lasts[i] {
			packets++
		}
		bytes += len(t.Ring.packets[i].Data)
		if !t.Immediately {
			t.Lateness.Record(now - t.due(i))
		}
		if len(t.Deadlines) > 0 {
			t.deadlinesOf(i).sent++
		}
	}
	if t.began.Load() == 0 {
		t.began.Store(now)
	}
	if t.Immediately {
		now = t.Clock.Now() // this Send is a part of the whole
	}
	t.ended.Store(now)
	t.sent.Add(int64(packets))
	t.frames.Add(int64(sent))
	t.bytes.Add(int64(bytes))
	t.Ring.release(sent)
}
