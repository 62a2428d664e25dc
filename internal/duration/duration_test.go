package tool

import (
	"math"
	"testing"
	"time"
)

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ns", 43: "43 ns", 999: "999 ns", 1000: "1 us", 17_260: "17.3 us", 999_600: "1 ms",
		137_363_500: "137 ms", 999_499_999: "999 ms", 1_500_000_000: "1.5 s", 119 * time.Second: "119 s", 120 * time.Second: "2 min",
		90 * time.Minute: "90 min", 18 * time.Hour: "18 h", 47 * time.Hour: "47 h", 72 * time.Hour: "3 days",
		50 * 8766 * time.Hour: "50 years", math.MaxInt64: "292 years", -2 * time.Millisecond: "-2 ms",
	} {
		if got := DurationText(d); got != want {
			t.Errorf("%v is %q, wanted %q", d, got, want)
		}
	}
}
