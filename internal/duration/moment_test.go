package duration

import (
	"math"
	"testing"
)

func TestTimesDoNotWrapRound(t *testing.T) {
	const last, first = int64(math.MaxInt64), int64(math.MinInt64)
	for _, c := range []struct{ time, duration, after, before int64 }{
		{3, 2, 5, 1},
		{-3, 0, -3, -3},
		{last - 5, 5, last, last - 10},
		{last - 4, 5, last, last - 9},
		{first + 5, 5, first + 10, first},
		{first + 4, 5, first + 9, first},
		{last, last, last, 0},
		{first, last, -1, first},
	} {
		if after, before := After(c.time, c.duration), Before(c.time, c.duration); after != c.after || before != c.before {
			t.Errorf("%d: %d after is %d, wanted %d; before is %d, wanted %d", c.time, c.duration, after, c.after, before, c.before)
		}
	}
}
