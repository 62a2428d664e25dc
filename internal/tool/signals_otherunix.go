//go:build unix && !linux

package tool

import "os"

// systemSignals are the endingSignals that only this system has: none that ends a process
// here is sent by others.
var systemSignals []os.Signal
