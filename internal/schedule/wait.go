package schedule

import "time"

const (
	// minMargin and maxMargin bound how long before a moment a sleep ends. It
	// took machines from 26 to 300 us to wake up.
	minMargin = int64(26 * time.Microsecond)
	maxMargin = int64(300 * time.Microsecond)
	// maxRealtimeMargin is enough where nothing but the kernel keeps a thread from
	// waking up, and lets it sleep enough to stay there.
	maxRealtimeMargin = int64(50 * time.Microsecond)
	// A margin that was too short grows by marginUp, and one that was not shrinks
	// by marginDown: so that one sleep in 1000 is too long.
	marginUp   = int64(40 * time.Microsecond)
	marginDown = marginUp / 1000
	// shortestSleep is what a sleep saves at least. For less it is not worth the
	// risk to be late; a real-time thread runs none, and has to sleep.
	shortestSleep = int64(100 * time.Microsecond)
	// longestSleep is how soon a stop is heard.
	longestSleep = int64(20 * time.Millisecond)
)

// Waiter waits for moments: it sleeps until shortly before and spins for the
// rest. How shortly follows from how long waking up has taken of late.
type Waiter struct {
	clock     Clock
	margin    int64
	maxMargin int64
	shortest  int64 // sleep
	slept     int64 // ever
	stopped   func() bool
}

// NewWaiter waits by clock until stopped says so.
func NewWaiter(clock Clock, stopped func() bool) *Waiter {
	return &Waiter{clock: clock, margin: maxMargin, maxMargin: maxMargin, shortest: shortestSleep, stopped: stopped}
}

// inRealtime fits the waiter to a real-time thread.
func (w *Waiter) inRealtime() {
	w.margin, w.maxMargin, w.shortest = maxRealtimeMargin, maxRealtimeMargin, 0
}

// Until waits for moment and gives the time then; ok is false when it was
// stopped before.
func (w *Waiter) Until(moment int64) (now int64, ok bool) {
	if !w.sleepBefore(moment) {
		return 0, false
	}
	return w.spinUntil(moment), true
}

// sleepBefore returns so long before moment that it is not missed. It is false
// when it was stopped.
func (w *Waiter) sleepBefore(moment int64) bool {
	now := w.clock.Now()
	if wait := moment - now; wait <= w.margin+w.shortest && wait > minMargin+w.shortest {
		w.shrink() // or a margin too large for any sleep would stay
	}
	for moment-now > w.margin+w.shortest {
		if w.stopped() {
			return false
		}
		now = w.sleep(now, min(moment-w.margin, now+longestSleep))
	}
	return true
}

func (w *Waiter) spinUntil(moment int64) (now int64) {
	for now = w.clock.Now(); now < moment; now = w.clock.Now() {
	}
	return now
}

// sleep sleeps until moment and adapts the margin to when it woke up.
func (w *Waiter) sleep(now, moment int64) (woken int64) {
	w.clock.SleepUntil(moment)
	woken = w.clock.Now()
	w.slept += woken - now
	if woken-moment > w.margin {
		w.margin = min(w.margin+marginUp, w.maxMargin)
	} else {
		w.shrink()
	}
	return woken
}

func (w *Waiter) shrink() { w.margin = max(w.margin-marginDown, minMargin) }
