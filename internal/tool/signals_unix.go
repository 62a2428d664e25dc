//go:build unix

package tool

import (
	"os"
	"syscall"
)

// countersSignals make a run print its counters.
var countersSignals = []os.Signal{syscall.SIGUSR1}

// askingSignals are those by which people end a program. A shell has background jobs ignore
// some of them; here they end the run all the same, since kill(1) sends them on purpose.
var askingSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT}

// endingSignals are the others that end a process by default: signal(7). SIGKILL cannot be
// caught, and SIGPROF is of the Go runtime. SIGXFSZ comes with a failed write, whose error
// names the file. A fault of this program is no signal from
// outside: it ends with its own message.
var endingSignals = append([]os.Signal{
	syscall.SIGHUP, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV,
	syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGXCPU, syscall.SIGVTALRM, syscall.SIGSYS,
}, systemSignals...)
