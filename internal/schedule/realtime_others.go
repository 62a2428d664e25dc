//go:build !linux

package schedule

import "errors"

var errNoRealtime = errors.New("real-time scheduling is for Linux only")

// KeepCoresAwake is for Linux only.
func KeepCoresAwake() (release func(), err error) { return func() {}, errNoRealtime }

// LockMemory is for Linux only.
func LockMemory() error { return errNoRealtime }

// PreferThread is for Linux only.
func PreferThread() {}

// RealtimeThread is for Linux only.
type RealtimeThread struct{}

// EnterRealtime is for Linux only.
func EnterRealtime(*Load) (*RealtimeThread, error) { return nil, errNoRealtime }

func (*RealtimeThread) owed(int64, int64) int64 { return 0 }
func (*RealtimeThread) polls() bool             { return false }

// Load is for Linux only.
type Load struct{}

// WatchLoad is for Linux only.
func WatchLoad() *Load { return nil }

// Stop is for Linux only.
func (*Load) Stop() {}

// RunOnIsolatedCore is for Linux only.
func RunOnIsolatedCore(int) error { return nil }
