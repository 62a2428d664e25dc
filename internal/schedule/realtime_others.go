//go:build !linux

package schedule

import "errors"

var errNoRealtime = errors.New("real-time scheduling is for Linux only")

// KeepCoresAwake is for Linux only.
func KeepCoresAwake() (release func(), err error) { return func() {}, errNoRealtime }

// PrepareRealtime is for Linux only.
func PrepareRealtime() error { return errNoRealtime }

// RealtimeThread is for Linux only.
type RealtimeThread struct{}

// EnterRealtime is for Linux only.
func EnterRealtime() (*RealtimeThread, error) { return nil, errNoRealtime }

func (*RealtimeThread) mind(int64, int64) {}

// SharpenTimers is for Linux only.
func SharpenTimers() {}
