package lab

import (
	"testing"
	"time"
)

// awaitLimit is how long a test waits for an event. It is far more than any event takes
// on a machine that does a dozen other things.
const awaitLimit = time.Minute

// Await returns once something has happened. The test fails if it does not.
func Await(t testing.TB, event string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(awaitLimit); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", event, awaitLimit)
		}
	}
}
