//go:build unix

package tool

import (
	"os"

	"golang.org/x/sys/unix"
)

// inForeground says whether this process may draw: of the jobs on a terminal, one
// is in the foreground. Elsewhere there are no jobs.
func inForeground(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return true
	}
	group, err := unix.IoctlGetInt(int(file.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
