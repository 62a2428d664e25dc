package main

import (
	"sync/atomic"
	"time"

	"pcap-replay/internal/schedule"
	"pcap-replay/internal/wire"
)

// verifier compares the kernel's transmit timestamps with the departures of the frames.
type verifier struct {
	stamps    wire.Stamps
	deadlines *schedule.Deadlines
	lateness  *schedule.Lateness
	stamped   atomic.Int64
	sent      chan struct{} // closed when no more frames will be sent
	err       error         // once ended is closed
	ended     chan struct{}
}

// stampGrace is how long after the last frame its timestamp may arrive. A network card may
// report several frames at once, some time after it sent them.
const stampGrace = 100 * time.Millisecond

func newVerifier(stamps wire.Stamps) *verifier {
	return &verifier{
		stamps: stamps, deadlines: &schedule.Deadlines{}, lateness: schedule.NewLateness(),
		sent: make(chan struct{}), ended: make(chan struct{}),
	}
}

// run reads timestamps until all frames are sent and no more timestamps arrive.
func (v *verifier) run() {
	defer close(v.ended)
	defer v.lateness.Settle()
	stamps := make([]wire.Stamp, 64)
	for {
		last := isClosed(v.sent) // before Read, which may wait
		n, err := v.stamps.Read(stamps, stampGrace)
		if err != nil || n == 0 && last {
			v.err = err
			return
		}
		for _, stamp := range stamps[:n] {
			v.lateness.Record(schedule.Moment(stamp.Time) - v.deadlines.Moment(stamp.Frame))
		}
		v.stamped.Add(int64(n))
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// finish waits for the last timestamps.
func (v *verifier) finish() error {
	close(v.sent)
	<-v.ended
	return v.err
}
