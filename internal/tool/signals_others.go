//go:build !unix

package tool

import (
	"os"
	"syscall"
)

// countersSignals is empty, because this system has no signal for it.
var countersSignals []os.Signal

// askingSignals are the signals by which people end a program.
var askingSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// endingSignals are the other signals that end a process.
var endingSignals = []os.Signal{syscall.SIGHUP}
