// Package duration writes durations for people, and adds them to times without overflow.
package duration

import (
	"fmt"
	"math"
)

// units are in seconds.
var units = []struct {
	name   string
	length float64
}{
	{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}, {"days", 86400}, {"years", 365.25 * 86400},
}

// Text formats a number of seconds with three digits, in a suitable unit: 43 ns, 137 ms, 18 h.
// Minutes and larger units are used from two of them on: 119 s, 2 min.
func Text(seconds float64) string {
	if seconds == 0 {
		return "0 s"
	}
	unit := units[0]
	for _, next := range units[1:] {
		least := 0.9995 * next.length // three digits of less than that round up to 1
		if next.length > 1 {
			least = 2 * next.length
		}
		if math.Abs(seconds) < least {
			break
		}
		unit = next
	}
	return fmt.Sprintf("%.3g %s", seconds/unit.length, unit.name)
}
