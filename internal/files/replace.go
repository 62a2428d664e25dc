package files

import (
	"errors"
	"os"
	"path/filepath"
)

// CheckReplaceable returns an error if a new file cannot get this name because the system
// does not let it replace what has the name now. Without this check, a run would fail after
// all its work.
func CheckReplaceable(name string) error {
	info, err := os.Lstat(name)
	if err != nil {
		return nil // nothing has the name
	}
	folder, err := os.Stat(filepath.Dir(name))
	switch {
	case info.IsDir():
		return errors.New("is a folder")
	case isMountPoint(name):
		return errors.New("is a mount point, and a mounted file cannot be replaced: mount its folder instead")
	case err == nil && isKept(info, folder):
		return errors.New("belongs to another user, and the folder (sticky bit) lets only that user replace it")
	}
	return nil
}
