package duration

import (
	"math"
	"testing"
)

func TestText(t *testing.T) {
	const minute, hour, day, year = 60, 3600, 86400, 365.25 * 86400
	for seconds, want := range map[float64]string{
		0: "0 s", 43e-9: "43 ns", 999e-9: "999 ns", 1e-6: "1 us", 17.26e-6: "17.3 us", 999.6e-6: "1 ms",
		137.3635e-3: "137 ms", 0.999499999: "999 ms", 1.5: "1.5 s", 119: "119 s", 2 * minute: "2 min",
		90 * minute: "90 min", 18 * hour: "18 h", 47 * hour: "47 h", 3 * day: "3 days",
		50 * year: "50 years", math.MaxUint64 / 1e9: "585 years", -2e-3: "-2 ms", -3 * hour: "-3 h",
	} {
		if got := Text(seconds); got != want {
			t.Errorf("%v s is %q, wanted %q", seconds, got, want)
		}
	}
}
