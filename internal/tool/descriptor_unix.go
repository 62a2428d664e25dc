//go:build unix

package tool

import "golang.org/x/sys/unix"

// isInherited reports whether this process was started with a descriptor. Descriptors that Go
// opens are closed on exec, so they do not count.
func isInherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// isWritable reports whether a descriptor was opened for writing.
func isWritable(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
}
