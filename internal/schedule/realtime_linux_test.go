package schedule

import (
	"math/rand/v2"
	"testing"
)

// A real-time thread that need not sleep all the time keeps every departure.
func TestRealtimeThreadSleepsItsShare(t *testing.T) {
	for _, gap := range []int64{5e3, 50e3, 200e3, 1e6} {
		clock := newFakeClock()
		clock.wakeUps = func() int64 { return rand.Int64N(minMargin) }
		transmission, sender := newTransmission(clock, 1<<17, 1<<23)
		transmission.Thread = &RealtimeThread{}
		transmission.Epoch.Set(clock.Now())
		departures := evenly(500e6/gap, gap)
		fill(t, transmission.Ring, departures)
		if err := transmission.Run(); err != nil {
			t.Fatal(err)
		}
		duration := departures[len(departures)-1]
		if slept, wanted := transmission.waiter.slept, int64(restShare*float64(duration))-maxDebt; slept < wanted {
			t.Errorf("gaps of %d ns: slept for %d of %d ns, wanted %d", gap, slept, duration, wanted)
		}
		longest := int64(0)
		for i, moment := range sender.moments {
			longest = max(longest, moment-sender.moments[0]-departures[i])
		}
		if wanted := forcedRest + minMargin; longest > wanted {
			t.Errorf("gaps of %d ns: late by %d ns, wanted at most %d", gap, longest, wanted)
		}
	}
}

// A thread that polls owes a nap in 100 ms, and also after a long sleep.
func TestPollingThreadOwesNaps(t *testing.T) {
	thread := &RealtimeThread{load: new(Load)}
	thread.owed(1, 0)
	if owed := thread.owed(1+90e6, 0); owed >= nap {
		t.Errorf("owes %d ns after 90 ms", owed)
	}
	if owed := thread.owed(1+1e9, 900e6); owed > 0 {
		t.Errorf("owes %d ns after a sleep of 0.9 s", owed)
	}
	if owed := thread.owed(1+1e9+110e6, 900e6); owed <= nap {
		t.Errorf("owes %d ns 110 ms after a sleep", owed)
	}
	thread.load.isHigh.Store(true)
	if owed := thread.owed(1+1e9+120e6, 900e6); owed < 900e3 {
		t.Errorf("owes %d ns after 10 ms on busy cores", owed)
	}
}

// While a core is idle, the thread polls short gaps, and sleeps in long ones until
// pollingMargin before their end, so that late wake-ups do no harm.
func TestRealtimeThreadPollsWhileACoreIsIdle(t *testing.T) {
	for gap, wanted := range map[int64]int64{1e6: 0, 10e6: 0, 1e9: 1e9 - pollingMargin} {
		clock := newFakeClock()
		clock.wakeUps = func() int64 { return pollingMargin / 2 }
		transmission, sender := newTransmission(clock, 16, 1<<16)
		transmission.Thread = &RealtimeThread{load: new(Load)}
		transmission.Epoch.Set(clock.Now())
		fill(t, transmission.Ring, []int64{0, gap})
		if err := transmission.Run(); err != nil {
			t.Fatal(err)
		}
		if slept := transmission.waiter.slept; wanted == 0 && slept != 0 || slept < wanted {
			t.Errorf("a gap of %d ns: slept for %d ns, wanted %d", gap, slept, wanted)
		}
		if late := sender.moments[1] - sender.moments[0] - gap; late > minMargin {
			t.Errorf("a gap of %d ns: late by %d ns", gap, late)
		}
	}
}

// Naps do not delay packets if there are gaps for them.
func TestNapsDoNotDelay(t *testing.T) {
	clock := newFakeClock()
	clock.wakeUps = func() int64 { return napMargin - minMargin }
	transmission, sender := newTransmission(clock, 1<<12, 1<<18)
	transmission.Thread = &RealtimeThread{load: new(Load)}
	transmission.Epoch.Set(clock.Now())
	departures := evenly(1000, 1e6)
	fill(t, transmission.Ring, departures)
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	// One in 100 ms, after the first 100 ms.
	if slept := transmission.waiter.slept; slept < 8*nap {
		t.Errorf("slept for %d ns of a second, wanted %d", slept, 8*nap)
	}
	for i, moment := range sender.moments {
		if late := moment - sender.moments[0] - departures[i]; late > minMargin {
			t.Fatalf("packet %d is late by %d ns", i, late)
		}
	}
}

func TestLoadIsRead(t *testing.T) {
	l := WatchLoad()
	if l == nil {
		t.Fatal("/proc/uptime cannot be read")
	}
	defer l.Stop()
	before := l.idle
	if after, ok := l.read(); !ok || after < before {
		t.Errorf("idle for %v s after %v, %v", after, before, ok)
	}
}
