package tool

import (
	"os"
	"syscall"
)

// systemSignals are the endingSignals that only Linux has.
var systemSignals = append([]os.Signal{syscall.SIGSTKFLT, syscall.SIGIO, syscall.SIGPWR}, realTimeSignals()...)

// realTimeSignals are SIGRTMIN+1 to SIGRTMAX, those that the C library leaves to programs.
// The Go runtime leaves SIGRTMIN to the C library.
func realTimeSignals() (signals []os.Signal) {
	for s := syscall.Signal(35); s <= 64; s++ {
		signals = append(signals, s)
	}
	return signals
}
