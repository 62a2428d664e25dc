//go:build unix

package files

import "golang.org/x/sys/unix"

// reservedDescriptors are for what a tool has open besides its inputs: the three
// standard streams, output, report, index, two spill files, sockets, and those of the
// Go runtime (epoll, eventfd). That is at most 20.
const reservedDescriptors = 24

// DescriptorLimit is the number of inputs that may be open at the same time.
func DescriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 256 - reservedDescriptors
	}
	return int(min(max(limit.Cur, reservedDescriptors+8), 1<<20)) - reservedDescriptors
}
