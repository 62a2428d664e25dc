//go:build unix

package tool

import (
	"os"
	"syscall"
)

// countersSignals make a run print its counters.
var countersSignals = []os.Signal{syscall.SIGUSR1}

// askingSignals are the signals by which people end a program. A shell makes background jobs
// ignore some of them. They end the run nevertheless, because kill(1) sends them on purpose.
var askingSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT}

// endingSignals are the other signals that end a process by default: signal(7). SIGKILL
// cannot be caught, and the Go runtime uses SIGPROF. SIGXFSZ comes with a failed write, whose
// error names the file. Signals of a fault in this program are not caught.
var endingSignals = append([]os.Signal{
	syscall.SIGHUP, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV,
	syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGXCPU, syscall.SIGVTALRM, syscall.SIGSYS,
}, systemSignals...)
