//go:build !linux

package files

import "os"

// keepAccessList does nothing: other systems store access control lists differently.
func keepAccessList(*os.File, string) bool { return true }
