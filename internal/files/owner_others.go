//go:build !unix

package files

import (
	"io/fs"
	"os"
)

// keepOwner does nothing: files get the owner that the folder gives them.
func keepOwner(*os.File, fs.FileInfo) bool { return true }

// countLinks assumes that a file has one name.
func countLinks(fs.FileInfo) uint64 { return 1 }

// isKept is false: there is no sticky bit.
func isKept(file, folder fs.FileInfo) bool { return false }
