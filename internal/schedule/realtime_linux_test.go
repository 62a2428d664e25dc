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
		departures := make([]int64, 500e6/gap)
		for i := range departures {
			departures[i] = int64(i) * gap
		}
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

// Without pressure, it does not sleep in short gaps.
func TestRealtimeThreadOwesNothingOnAQuietMachine(t *testing.T) {
	thread := &RealtimeThread{pressure: new(Pressure)}
	for now := int64(1); now < 1e9; now += 1e6 {
		if owed := thread.owed(now, 0); owed > 0 {
			t.Fatalf("owes %d ns after %d ns", owed, now)
		}
	}
	thread.pressure.isHigh.Store(true)
	thread.owed(1e9, 0)
	if owed := thread.owed(1e9+5e6, 0); owed <= 0 {
		t.Error("owes nothing under pressure")
	}
}

// Without pressure, it polls short gaps, and sleeps in long ones until quietMargin before
// their end, so that late wake-ups do no harm.
func TestRealtimeThreadPollsOnAQuietMachine(t *testing.T) {
	for gap, wanted := range map[int64]int64{1e6: 0, 10e6: 0, 1e9: 1e9 - quietMargin} {
		clock := newFakeClock()
		clock.wakeUps = func() int64 { return quietMargin / 2 }
		transmission, sender := newTransmission(clock, 16, 1<<16)
		transmission.Thread = &RealtimeThread{pressure: new(Pressure)}
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

func TestPressureIsRead(t *testing.T) {
	p := WatchPressure()
	if p == nil {
		t.Skip("the kernel measures no pressure")
	}
	defer p.Stop()
	before := p.total
	if after, ok := p.read(); !ok || after < before {
		t.Errorf("%d us after %d, %v", after, before, ok)
	}
}
