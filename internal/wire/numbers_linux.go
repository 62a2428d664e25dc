package wire

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// frameNumbers maps the numbers by which the kernel counts the frames of a socket to their
// numbers among all frames of the sender. It remembers the last 65536, as package schedule
// does with their departures. A nil pointer has no numbers.
type frameNumbers struct {
	frames [1 << 16]atomic.Int64 // modulo 2^32; noFrame for one that was refused
	next   uint32                // the kernel's number of the next frame, modulo 2^32
}

const noFrame = -1

func (n *frameNumbers) at(key uint32) *atomic.Int64 { return &n.frames[key%uint32(len(n.frames))] }

// note records the numbers of the next count frames before they leave.
func (n *frameNumbers) note(first uint32, count int) {
	if n == nil {
		return
	}
	for k := range uint32(count) {
		n.at(n.next + k).Store(int64(first + k))
	}
}

// advance says that the kernel has counted these frames and sent them.
func (n *frameNumbers) advance(sent int) {
	if n != nil {
		n.next += uint32(sent)
	}
}

// refuse says that the kernel has counted the next frame and has not sent it. A driver may
// have timestamped it before it refused it.
func (n *frameNumbers) refuse() {
	if n != nil {
		n.at(n.next).Store(noFrame)
		n.next++
	}
}

// undoRefuse says that the kernel did not count the frame of the last call of refuse.
func (n *frameNumbers) undoRefuse() {
	if n != nil {
		n.next--
	}
}

// restart makes the kernel count from 0 again: sock_set_timestamping in net/core/sock.c.
// Whether it has counted a frame that failed depends on its version.
func (n *frameNumbers) restart(socket int) {
	if n != nil {
		n.next = 0
		_ = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, 0)
		_ = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, stampFlags)
	}
}

// of returns the number of a frame among all frames of the sender. It returns false for a
// frame that was refused.
func (n *frameNumbers) of(key uint32) (frame uint32, wasSent bool) {
	number := n.at(key).Load()
	return uint32(number), number != noFrame
}
