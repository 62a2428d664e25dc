package tool

import (
	"fmt"
	"time"
)

// durationUnits are those of DurationText, in nanoseconds.
var durationUnits = []struct {
	name   string
	length float64
}{
	{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"h", 3600e9}, {"days", 86400e9}, {"years", 365.25 * 86400e9},
}

// DurationText formats a duration with three digits, in a suitable unit: 43 ns, 137 ms, 18 h.
// Minutes and larger units are used from two of them on: 119 s, 2 min.
func DurationText(d time.Duration) string {
	unit := durationUnits[0]
	for _, next := range durationUnits[1:] {
		least := 0.9995 * next.length // three digits of less than that round up to 1
		if next.length > float64(time.Second) {
			least = 2 * next.length
		}
		if float64(d.Abs()) < least {
			break
		}
		unit = next
	}
	return fmt.Sprintf("%.3g %s", float64(d)/unit.length, unit.name)
}
