package schedule

import "testing"

// What a thread has slept and the time in which it did so end at one moment: the
// wait for the first packet is all sleep, and else would count as work.
func TestSleepIsMeasuredUpToItsEnd(t *testing.T) {
	const first = int64(1e9)
	transmission, _ := newTransmission(newFakeClock(), 16, 1<<16)
	transmission.Thread = &RealtimeThread{}
	transmission.Epoch.Set(first)
	fill(t, transmission.Ring, []int64{0})
	if err := transmission.Run(); err != nil {
		t.Fatal(err)
	}
	if began := transmission.Thread.began; began < first-maxMargin || began > first+maxMargin {
		t.Errorf("measured from %d on, wanted from shortly before %d", began, first)
	}
}
