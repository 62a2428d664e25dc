//go:build unix

package files

import (
	"io/fs"
	"syscall"
)

// Identity identifies a file on this machine, whatever its name. The system may reuse the
// number of a deleted file.
type Identity struct{ device, inode uint64 }

// IdentityOf returns the identity of a file at path. info is the result of stat(2).
func IdentityOf(_ string, info fs.FileInfo) Identity {
	stat := info.Sys().(*syscall.Stat_t)
	return Identity{uint64(stat.Dev), stat.Ino}
}

// IsDeleted reports whether an open file has no name any more.
func IsDeleted(info fs.FileInfo) bool { return info.Sys().(*syscall.Stat_t).Nlink == 0 }
