//go:build !unix

package files

import "io/fs"

// Identity identifies a file. This system has no file numbers in stat(2), so it is the
// path.
type Identity struct{ path string }

// IdentityOf returns the identity of a file at path.
func IdentityOf(path string, _ fs.FileInfo) Identity { return Identity{path} }

// IsDeleted reports whether an open file has no name any more. This system does not delete
// open files.
func IsDeleted(fs.FileInfo) bool { return false }
