package schedule

import "time"

const (
	// minMargin and maxMargin bound how long before a moment a sleep ends. It
	// took machines from 26 to 300 us to wake up.
	minMargin = int64(26 * time.Microsecond)
	maxMargin = int64(300 * time.Microsecond)
	// longestSleep is how soon a stop is heard.
	longestSleep = int64(20 * time.Millisecond)
)

// Waiter waits for moments: it sleeps until shortly before and spins for the
// rest. How shortly follows what waking up has taken of late.
type Waiter struct {
	clock   Clock
	margin  int64
	slept   int64 // ever
	stopped func() bool
}

// NewWaiter waits by clock until stopped says so.
func NewWaiter(clock Clock, stopped func() bool) *Waiter {
	return &Waiter{clock: clock, margin: maxMargin / 2, stopped: stopped}
}

// Until waits for moment and gives the time then; ok is false when it was
// stopped before.
func (w *Waiter) Until(moment int64) (now int64, ok bool) {
	now = w.clock.Now()
	for moment-now > w.margin {
		if w.stopped() {
			return now, false
		}
		now = w.sleep(now, min(moment-w.margin, now+longestSleep))
	}
	for now < moment {
		now = w.clock.Now()
	}
	return now, true
}

// sleep adapts the margin: at once to a wake-up that took long, slowly back. A
// single interruption of a millisecond teaches nothing.
func (w *Waiter) sleep(now, moment int64) (woken int64) {
	w.clock.SleepUntil(moment)
	woken = w.clock.Now()
	w.slept += woken - now
	wanted := min(max((woken-moment)*3/2, minMargin), maxMargin)
	if wanted > w.margin {
		w.margin += (wanted - w.margin) / 2
	} else {
		w.margin -= (w.margin - wanted) / 64
	}
	return woken
}
