//go:build unix

package cli

import (
	"os"
	"syscall"
)

// countersSignals have a run print its counters.
var countersSignals = []os.Signal{syscall.SIGUSR1}
