//go:build !linux

package privilege

// Drop has nothing to give up: only Linux has capabilities.
func Drop() error { return nil }

// KeepFileAccess has nothing to give up, either.
func KeepFileAccess() error { return nil }

// KeepSending has nothing to give up, either.
func KeepSending() error { return nil }

// IgnoreRuntimeVariables has nothing to do: no file gives privileges to a program here.
func IgnoreRuntimeVariables() error { return nil }
