package schedule

import (
	"sync/atomic"
	"time"
)

// Clock reads the time and waits. [System] is that of the machine. Tests use clocks of
// their own.
type Clock interface {
	// Now returns the current moment in nanoseconds.
	Now() int64
	// SleepUntil returns at a moment, or later by the time of a wake-up.
	SleepUntil(moment int64)
}

// System is the monotonic clock of this machine. Its moments are those of CLOCK_MONOTONIC where
// the system has it. CLOCK_MONOTONIC stops while the machine is suspended. System adds that
// time at the first SleepUntil afterwards.
var System Clock = newSystemClock()

type systemClock struct {
	start     time.Time
	offset    int64        // of the moment of start
	suspended atomic.Int64 // how long the machine has been since then, as far as is known
}

// Now uses time.Since, which reads the clock without a system call (vdso(7)), unlike
// unix.ClockGettime.
func (c *systemClock) Now() int64 {
	return int64(time.Since(c.start)) + c.offset + c.suspended.Load()
}

// suspensionNoise is longer than the time between two successive readings of clocks, and shorter
// than any suspension of a machine.
const suspensionNoise = int64(10 * time.Millisecond)

// noteSuspension notes how long the machine has been suspended since the start.
func (c *systemClock) noteSuspension(suspended int64) {
	if suspended-c.suspended.Load() > suspensionNoise {
		c.suspended.Store(suspended)
	}
}

// WallTime converts a moment of the system clock to Unix nanoseconds. The offset is
// measured once, so a step of the wall clock during a run moves no packet.
func WallTime(moment int64) int64 { return moment + wallOffset }

// Moment is the inverse of WallTime.
func Moment(unixNanoseconds int64) int64 { return unixNanoseconds - wallOffset }

var wallOffset = time.Now().UnixNano() - System.Now()
