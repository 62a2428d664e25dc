//go:build !linux

package files

// isMountPoint is false: other systems mount folders only.
func isMountPoint(string) bool { return false }
