package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// accessList is the extended attribute that holds the access control list of a file: acl(5).
const accessList = "system.posix_acl_access"

// maxAccessList is the maximum size of an extended attribute in bytes: XATTR_SIZE_MAX of
// Linux.
const maxAccessList = 64 << 10

// KeepAccessList gives a file the access control list of the one at path, or none, and
// reports whether it has that. Without its list, the group bits of a mode mean more: they are
// the mask of the list, not what the group may do.
func KeepAccessList(file *os.File, path string) bool {
	list := make([]byte, maxAccessList)
	n, err := unix.Getxattr(path, accessList, list)
	if err != nil {
		// The folder may have given the new file a list.
		return !errors.Is(unix.Fremovexattr(int(file.Fd()), accessList), unix.EPERM)
	}
	return unix.Fsetxattr(int(file.Fd()), accessList, list[:n], 0) == nil
}
