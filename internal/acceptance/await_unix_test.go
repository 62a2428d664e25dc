//go:build unix

package acceptance

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"pcap-replay/internal/lab"
)

// awaitFull waits until a pipe, of which this is the writing end, takes no more.
func awaitFull(t *testing.T, pipe *os.File) {
	t.Helper()
	lab.Await(t, "the pipe is full", func() bool {
		poll := []unix.PollFd{{Fd: int32(pipe.Fd()), Events: unix.POLLOUT}}
		n, err := unix.Poll(poll, 0)
		return n == 0 && err == nil
	})
}

// isEmpty reports whether a pipe, of which this is the reading end, holds nothing.
func isEmpty(pipe *os.File) bool {
	poll := []unix.PollFd{{Fd: int32(pipe.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return n == 0 && err == nil
}
