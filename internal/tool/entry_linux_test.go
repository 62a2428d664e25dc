//go:build amd64 || arm64 || 386 || arm

package tool

import (
	"slices"
	"syscall"
	"testing"
)

func TestEarlySignals(t *testing.T) {
	unblockable := []syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTERM, syscall.SIGSYS, // _SigKill, _SigThrow
		syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSTKFLT, // _SigUnblock
	}
	var wanted uint64
	for _, s := range slices.Concat(countersSignals, askingSignals, endingSignals) {
		if s := s.(syscall.Signal); !slices.Contains(unblockable, s) {
			wanted |= 1 << (s - 1)
		}
	}
	if earlySignals != wanted {
		t.Errorf("%#x, wanted %#x", earlySignals, wanted)
	}
}
