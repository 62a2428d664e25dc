package files

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is the default of /proc/sys/fs/pipe-max-size, up to which any user may enlarge a
// pipe. A merge into a pipe of this size takes less than half the time of one into the
// usual 64 KiB.
const pipeSize = 1 << 20

// EnlargePipe enlarges a pipe. It does nothing to other streams, and ignores errors,
// because a small pipe only costs speed.
func EnlargePipe(stream any) {
	if file, ok := stream.(*os.File); ok && IsPipe(file) {
		if raw, err := file.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
		}
	}
}

// SendFile makes the kernel pass a part of a file to a pipe, by reference to the page
// cache: see sendfile(2). It returns the number of bytes, which is at most size. If it is
// less, the file has ended, or there is an error that the next read or write will return.
func SendFile(dst, src *os.File, offset, size int64) (n int64) {
	pipe, err := dst.SyscallConn()
	if err != nil {
		return 0
	}
	file, err := src.SyscallConn()
	if err != nil {
		return 0
	}
	_ = file.Control(func(in uintptr) {
		_ = pipe.Write(func(out uintptr) bool {
			sent, err := unix.Sendfile(int(out), int(in), &offset, int(size))
			n = int64(max(sent, 0))
			return err != unix.EAGAIN
		})
	})
	return n
}
