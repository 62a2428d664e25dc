package tool

import (
	"os"
	"syscall"
)

// systemSignals are the endingSignals that only Linux has.
var systemSignals = append([]os.Signal{syscall.SIGSTKFLT, syscall.SIGIO, syscall.SIGPWR}, realTimeSignals()...)

// Real-time signals go from SIGRTMIN+1 to SIGRTMAX: those that the C library leaves to
// programs. The Go runtime leaves SIGRTMIN to the C library.
const firstRealTime, lastRealTime = 35, 64

func realTimeSignals() (signals []os.Signal) {
	for s := syscall.Signal(firstRealTime); s <= lastRealTime; s++ {
		signals = append(signals, s)
	}
	return signals
}
