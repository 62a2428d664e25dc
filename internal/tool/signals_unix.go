//go:build unix

package tool

import (
	"os"
	"syscall"
)

// countersSignals make a run print its counters.
var countersSignals = []os.Signal{syscall.SIGUSR1}
