//go:build !unix

package cli

import "os"

// countersSignals: this system has no signal to spare.
var countersSignals []os.Signal
