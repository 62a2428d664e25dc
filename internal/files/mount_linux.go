package files

import "golang.org/x/sys/unix"

// isMountPoint reports whether a file is mounted at a name, as a container does with a file
// of its host. rename(2) fails with EBUSY there. Linux before 5.8 does not say.
func isMountPoint(name string) bool {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, 0, &stat)
	return err == nil && stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
