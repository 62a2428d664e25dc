package schedule

import (
	"slices"
	"testing"
)

func TestCountLateness(t *testing.T) {
	one, other := NewLateness(), NewLateness()
	for _, late := range []int64{-5, 0, 1, 1000, 1990, 60e9} {
		one.Record(late)
	}
	for _, late := range []int64{2100, 900, 1e12} {
		other.Record(late)
	}
	if got, want := CountLateness([]int64{1000, 2000, 5000}, one, other), []int64{5, 1, 3}; !slices.Equal(got, want) {
		t.Errorf("%v, wanted %v", got, want)
	}
	if got := CountLateness([]int64{1000}, NewLateness()); !slices.Equal(got, []int64{0}) {
		t.Errorf("of nothing: %v", got)
	}
}
