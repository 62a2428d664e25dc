//go:build !linux

package files

import "time"

// Birth returns when a file was created. It is not known on this system.
func Birth(string) (born time.Time, isKnown bool) { return time.Time{}, false }
