package files

import (
	"time"

	"golang.org/x/sys/unix"
)

// Birth returns when a file was created, by statx(2). It is not known on some file systems.
func Birth(path string) (born time.Time, isKnown bool) {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BTIME, &stat)
	return time.Unix(stat.Btime.Sec, int64(stat.Btime.Nsec)), err == nil && stat.Mask&unix.STATX_BTIME != 0
}
