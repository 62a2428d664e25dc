package schedule

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// newSystemClock finds where CLOCK_MONOTONIC, which the kernel sleeps by, is on
// the clock of time.Since: between two readings that are close together.
func newSystemClock() *systemClock {
	c := &systemClock{start: time.Now()}
	var closest int64 = math.MaxInt64
	for range 50 {
		var kernel unix.Timespec
		before := time.Since(c.start)
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &kernel) != nil {
			break
		}
		after := time.Since(c.start)
		if took := int64(after - before); took < closest {
			closest = took
			c.offset = kernel.Nano() - int64(before+after)/2
		}
	}
	return c
}

// SleepUntil blocks the thread, past the timers of the Go runtime, which wait in
// whole milliseconds where nothing else is to do.
func (c *systemClock) SleepUntil(moment int64) {
	until := unix.NsecToTimespec(moment - c.suspended.Load())
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil) == unix.EINTR {
	}
	c.noteSuspension(suspendedTime() - suspendedAtStart)
}

var suspendedAtStart = suspendedTime()

// suspendedTime is how long the machine has been suspended since it was started:
// CLOCK_BOOTTIME counts that time, and CLOCK_MONOTONIC does not.
func suspendedTime() int64 {
	var monotonic, boot unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return boot.Nano() - monotonic.Nano()
}
