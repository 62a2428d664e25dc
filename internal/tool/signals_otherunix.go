//go:build unix && !linux

package tool

import "os"

// systemSignals are the endingSignals that only this system has. There are none that other
// programs send.
var systemSignals []os.Signal
