package schedule

import "time"

const (
	// minMargin and maxMargin bound how long before a moment a sleep ends. Idle machines
	// took from 26 to 300 us to wake up. A wake-up that takes over 1 ms is due to other
	// threads, and no margin covers it.
	minMargin = int64(26 * time.Microsecond)
	maxMargin = int64(time.Millisecond)
	// The margin is at most shortWaitMargin, or marginShare of the wait if that is longer.
	// A thread that sends once in 1 ms then takes less than 45 % of a core (scripts/bench
	// timing).
	shortWaitMargin = int64(300 * time.Microsecond)
	marginShare     = 0.35
	// A margin that was too short grows by marginUp, and one that was not shrinks by
	// marginDown, so that one sleep in 1,000 is too long.
	marginUp   = int64(40 * time.Microsecond)
	marginDown = marginUp / 1000
	// shortestSleep is the shortest sleep that is worth the risk to wake up late.
	shortestSleep = int64(100 * time.Microsecond)
	// pollingMargin is the margin of a thread that polls. A halted core was seen to wake up
	// late by several milliseconds, but not by so much.
	pollingMargin = int64(20 * time.Millisecond)
	// longestSleep is how soon a waiter notices that it was stopped.
	longestSleep = int64(20 * time.Millisecond)
	// forcedRest is how long a thread sleeps that owes sleep and has found no gap for it.
	forcedRest = int64(100 * time.Microsecond)
	// nap is how long a polling thread sleeps, at the beginning of a gap that is longer by
	// at least napMargin, so that a late wake-up does no harm.
	nap       = int64(50 * time.Microsecond)
	napMargin = int64(300 * time.Microsecond)
)

// Waiter waits for moments: it sleeps until shortly before and polls the clock for the
// rest. How shortly depends on how long recent wake-ups have taken.
type Waiter struct {
	clock   Clock
	margin  int64
	slept   int64 // ever
	stopped func() bool
	spins   bool            // it never sleeps
	thread  *RealtimeThread // nil for an ordinary thread
}

// NewWaiter returns a waiter that uses clock until stopped returns true.
func NewWaiter(clock Clock, stopped func() bool) *Waiter {
	return &Waiter{clock: clock, margin: shortWaitMargin, stopped: stopped}
}

// Until waits for moment and returns the time then. ok is false if it was stopped before.
func (w *Waiter) Until(moment int64) (now int64, ok bool) {
	if !w.sleepBefore(moment) {
		return 0, false
	}
	return w.spinUntil(moment), true
}

// sleepBefore returns so long before moment that it is not missed. It is false if the
// waiter was stopped.
func (w *Waiter) sleepBefore(moment int64) bool {
	now := w.clock.Now()
	if wait := moment - now; wait <= w.margin+shortestSleep && wait > minMargin+shortestSleep {
		w.shrink() // or a margin too large for any sleep would stay
	}
	for {
		margin, shortest := w.marginOf(moment-now), shortestSleep
		switch owed := w.owed(now); {
		case owed > nap && w.thread.polls() && moment-now >= nap+napMargin:
			now = w.sleep(now, now+nap)
			continue
		case owed > 0 && !w.thread.polls():
			margin, shortest = minMargin, 0
		}
		if moment-now <= margin+shortest {
			w.rest(now)
			return true
		}
		if w.stopped() {
			return false
		}
		now = w.sleep(now, min(moment-margin, now+longestSleep))
	}
}

// marginOf returns how long before its end a wait is polled.
func (w *Waiter) marginOf(wait int64) int64 {
	if w.thread.polls() {
		return pollingMargin
	}
	return min(w.margin, max(shortWaitMargin, int64(marginShare*float64(wait))))
}

// owed is how long the thread must still sleep so that the kernel does not stop it.
func (w *Waiter) owed(now int64) int64 {
	if w.thread == nil {
		return 0
	}
	return w.thread.owed(now, w.slept)
}

// rest sleeps now if the thread owes much sleep, because no gap was long enough for it. A
// thread that polls never owes so much: it naps in gaps that are long enough, and only there.
func (w *Waiter) rest(now int64) {
	if w.owed(now) > forcedRest {
		w.sleep(now, now+forcedRest)
	}
}

func (w *Waiter) spinUntil(moment int64) (now int64) {
	for now = w.clock.Now(); now < moment; now = w.clock.Now() {
	}
	return now
}

// sleep sleeps until moment and adapts the margin to the time of the wake-up.
func (w *Waiter) sleep(now, moment int64) (woken int64) {
	if w.spins {
		w.clock.SleepUntil(now) // returns at once, and notices that the machine was suspended
		return w.spinUntil(moment)
	}
	w.clock.SleepUntil(moment)
	woken = w.clock.Now()
	w.slept += woken - now
	if woken-moment > w.margin {
		w.margin = min(w.margin+marginUp, maxMargin)
	} else {
		w.shrink()
	}
	return woken
}

func (w *Waiter) shrink() { w.margin = max(w.margin-marginDown, minMargin) }
