//go:build !unix

package tool

import (
	"os"
	"syscall"
)

// countersSignals: this system has no signal to spare.
var countersSignals []os.Signal

// askingSignals are those by which people end a program.
var askingSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// endingSignals are the others that end a process.
var endingSignals = []os.Signal{syscall.SIGHUP}
