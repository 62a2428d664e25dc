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
func EnterRealtime(*Pressure) (*RealtimeThread, error) { return nil, errNoRealtime }

func (*RealtimeThread) owed(int64, int64) int64 { return 0 }
func (*RealtimeThread) isUndisturbed() bool     { return false }

// Pressure is for Linux only.
type Pressure struct{}

// WatchPressure is for Linux only.
func WatchPressure() *Pressure { return nil }

// Stop is for Linux only.
func (*Pressure) Stop() {}

// RunOnIsolatedCore is for Linux only.
func RunOnIsolatedCore(int) error { return nil }
