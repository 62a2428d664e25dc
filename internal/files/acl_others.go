//go:build !linux

package files

import "os"

// KeepAccessList does nothing: other systems store access control lists differently.
func KeepAccessList(*os.File, string) bool { return true }
