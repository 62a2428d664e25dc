//go:build unix

package cli

import "golang.org/x/sys/unix"

// reservedDescriptors are for what a tool has open besides its inputs.
const reservedDescriptors = 24

// descriptorLimit is how many inputs may be open at once.
func descriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 256 - reservedDescriptors
	}
	return int(min(max(limit.Cur, reservedDescriptors+8), 1<<20)) - reservedDescriptors
}
