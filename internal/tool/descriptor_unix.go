//go:build unix

package tool

import "golang.org/x/sys/unix"

// isInherited says whether this process was started with a descriptor. Those that Go opens
// are closed by exec, and so none of them is one.
func isInherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// isWritable says whether a descriptor was opened for writing.
func isWritable(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
}
