//go:build amd64 || arm64 || 386 || arm

package tool

import "syscall"

// entry is the entry point of a program that is linked with -E. It runs before the Go runtime,
// which would open /dev/null for each standard descriptor that is closed. Many programs open
// /dev/null for their children, too, so the two cases cannot be distinguished afterwards.
//
// It also blocks the earlySignals. os/signal.Notify unblocks them, and they arrive then. The
// Go runtime would ignore them until catchSignals is called.
func entry()

var _ = entry // so that the linker keeps it

// earlySignals is a sigset_t of those signals that catchSignals catches and that the Go runtime
// lets a program block. It unblocks those that end a process in any case, and those of faults:
// blockableSig in its signal_unix.go.
var earlySignals uint64 = 1<<(syscall.SIGUSR1-1) | 1<<(syscall.SIGUSR2-1) | 1<<(syscall.SIGALRM-1) |
	1<<(syscall.SIGXCPU-1) | 1<<(syscall.SIGVTALRM-1) | 1<<(syscall.SIGIO-1) | 1<<(syscall.SIGPWR-1) |
	(1<<64 - 1<<(firstRealTime-1))
