//go:build !unix

package files

import "io/fs"

// Identity tells a file from all others. This system has no numbers for files in stat(2), so
// it is the path.
type Identity struct{ path string }

// IdentityOf returns the identity of a file at path.
func IdentityOf(path string, _ fs.FileInfo) Identity { return Identity{path} }

// IsDeleted says that an open file has no name any more. This system does not delete those.
func IsDeleted(fs.FileInfo) bool { return false }
