//go:build unix

package tool

import (
	"os"

	"golang.org/x/sys/unix"
)

// inForeground reports whether this process may draw. On a terminal, only the job in the
// foreground may. Elsewhere there are no jobs.
func inForeground(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return true
	}
	group, err := unix.IoctlGetInt(int(file.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
