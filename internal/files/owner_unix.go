//go:build unix

package files

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file the owner and the group of another one, and reports whether it has
// them. If only the group may be changed, only the group is kept.
func keepOwner(file *os.File, old fs.FileInfo) bool {
	wanted, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	got := info.Sys().(*syscall.Stat_t)
	if got.Uid == wanted.Uid && got.Gid == wanted.Gid {
		return true
	}
	if file.Chown(int(wanted.Uid), int(wanted.Gid)) == nil {
		return true
	}
	_ = file.Chown(-1, int(wanted.Gid))
	return false
}

// countLinks is the number of names of a file.
func countLinks(info fs.FileInfo) uint64 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(stat.Nlink)
}

// isKept reports whether the sticky bit of a folder keeps a file from being replaced by this
// user: only root and the owners of both may do that (inode(7)).
func isKept(file, folder fs.FileInfo) bool {
	user := uint32(os.Geteuid())
	isOwner := func(info fs.FileInfo) bool {
		stat, ok := info.Sys().(*syscall.Stat_t)
		return !ok || stat.Uid == user
	}
	return folder.Mode()&fs.ModeSticky != 0 && user != 0 && !isOwner(file) && !isOwner(folder)
}
