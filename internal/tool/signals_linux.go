package tool

import (
	"os"
	"syscall"
)

// systemSignals are the endingSignals that only Linux has.
var systemSignals = append([]os.Signal{syscall.SIGSTKFLT, syscall.SIGIO, syscall.SIGPWR}, realTimeSignals()...)

// realTimeSignals are those that the C library leaves to programs, but for the first one,
// which the Go runtime leaves to it: SIGRTMIN+1 to SIGRTMAX.
func realTimeSignals() (signals []os.Signal) {
	for s := syscall.Signal(35); s <= 64; s++ {
		signals = append(signals, s)
	}
	return signals
}
