package duration

import "math"

// After is the time that is a duration after another one, at most [math.MaxInt64]. All are in
// nanoseconds, and the duration is not negative.
func After(time, duration int64) int64 {
	if time > math.MaxInt64-duration {
		return math.MaxInt64
	}
	return time + duration
}

// Before is the time that is a duration before another one, at least [math.MinInt64]. All are
// in nanoseconds, and the duration is not negative.
func Before(time, duration int64) int64 {
	if time < math.MinInt64+duration {
		return math.MinInt64
	}
	return time - duration
}
