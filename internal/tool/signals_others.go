//go:build !unix

package tool

import "os"

// countersSignals: this system has no signal to spare.
var countersSignals []os.Signal
