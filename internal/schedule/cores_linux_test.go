package schedule

import (
	"slices"
	"testing"
)

func TestListsOfCores(t *testing.T) {
	for list, wanted := range map[string][]int{"": nil, "3": {3}, "2-4": {2, 3, 4}, "1,3-4,9": {1, 3, 4, 9}} {
		if got, err := parseCores(list); err != nil || !slices.Equal(got, wanted) {
			t.Errorf("%q: %v, %v, wanted %v", list, got, err, wanted)
		}
	}
	for _, list := range []string{"x", "1-", "1,,2"} {
		if got, err := parseCores(list); err == nil {
			t.Errorf("%q: %v, wanted an error", list, got)
		}
	}
}
