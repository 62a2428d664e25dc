package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is what /proc/sys/fs/pipe-max-size allows everybody by default. A
// merge into a pipe of this size takes less than half the time of one into the
// usual 64 KiB.
const pipeSize = 1 << 20

// enlargePipe makes a pipe larger; other streams it leaves as they are. Not
// being allowed to costs speed only.
func enlargePipe(stream any) {
	if file, ok := stream.(*os.File); ok && isPipe(file) {
		if raw, err := file.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
		}
	}
}

// sendFile has the kernel hand a part of a file on to a pipe, by reference to the memory
// that holds it: see sendfile(2). It gives how many bytes that were, at most size. Where
// they are fewer, the file has ended, or there is a reason which reading and writing
// will find: a socket would tell it only once.
func sendFile(dst, src *os.File, offset, size int64) (n int64) {
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
