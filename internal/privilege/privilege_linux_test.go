package privilege

import (
	"slices"
	"testing"
)

// What the runtime itself has set begins no program anew: that would never end.
func TestRuntimeVariablesAreLeftOut(t *testing.T) {
	for _, c := range []struct {
		environment, rest []string
		found             bool
	}{
		{[]string{"PATH=/bin", "TERM=dumb"}, []string{"PATH=/bin", "TERM=dumb"}, false},
		{[]string{"PATH=/bin", "GOTRACEBACK=none"}, []string{"PATH=/bin"}, false},
		{[]string{"GODEBUG=gctrace=1", "PATH=/bin", "GOTRACEBACK=none"}, []string{"PATH=/bin"}, true},
		{[]string{"GOGC=1", "GOMEMLIMIT=1", "GOMAXPROCS=1", "GOCOVERDIR=/", "GORACE=x", "ZONEINFO=/x"}, nil, true},
	} {
		if rest, found := withoutRuntimeVariables(c.environment); found != c.found || !slices.Equal(rest, c.rest) {
			t.Errorf("%q: %q, %v", c.environment, rest, found)
		}
	}
}
