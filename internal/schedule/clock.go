package schedule

import "time"

// Clock tells moments and waits for them. [System] is the machine's; tests have
// one of their own, on which spinning ends.
type Clock interface {
	// Now is the moment in nanoseconds.
	Now() int64
	// SleepUntil returns at or after a moment, by as much as it takes to wake up.
	SleepUntil(moment int64)
}

// System is the monotonic clock of this machine. Its moments are those of
// CLOCK_MONOTONIC where there is such a thing.
var System Clock = newSystemClock()

type systemClock struct {
	start  time.Time
	offset int64 // of the moment of start
}

// Now asks time.Since, which is served from the vDSO; unix.ClockGettime is a
// system call.
func (c systemClock) Now() int64 { return int64(time.Since(c.start)) + c.offset }

// WallTime gives a moment of the system clock as Unix nanoseconds. The offset is
// taken once: a step of the wall clock during a run moves no packet.
func WallTime(moment int64) int64 { return moment + wallOffset }

// Moment is the inverse of WallTime.
func Moment(unixNanoseconds int64) int64 { return unixNanoseconds - wallOffset }

var wallOffset = time.Now().UnixNano() - System.Now()
