package wire

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	stampBatch  = 64       // timestamps per system call
	stampBuffer = 32 << 20 // of unread timestamps, in bytes
	controlSize = 256      // of the control messages of a timestamp
)

// Stamps reads the transmit timestamps of a packet socket: section 1.3 of
// Documentation/networking/timestamping.rst. One goroutine may use it, while another one
// sends.
type Stamps struct {
	socket   int
	messages [stampBatch]message
	controls [stampBatch][controlSize]byte
}

// StampFrames makes the kernel timestamp each frame that a packet socket sends from now on.
// Unread timestamps are lost when they fill stampBuffer.
func StampFrames(sender Sender) (*Stamps, error) {
	packets, ok := sender.(*packetSender)
	if !ok {
		return nil, errors.New("transmit timestamps: only packet sockets have them")
	}
	const flags = unix.SOF_TIMESTAMPING_TX_SOFTWARE | unix.SOF_TIMESTAMPING_SOFTWARE |
		unix.SOF_TIMESTAMPING_OPT_ID | unix.SOF_TIMESTAMPING_OPT_TSONLY
	if err := unix.SetsockoptInt(packets.socket, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, flags); err != nil {
		return nil, fmt.Errorf("interface %q: transmit timestamps: %w", packets.name, err)
	}
	if unix.SetsockoptInt(packets.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, stampBuffer) != nil {
		_ = unix.SetsockoptInt(packets.socket, unix.SOL_SOCKET, unix.SO_RCVBUF, stampBuffer)
	}
	s := &Stamps{socket: packets.socket}
	for k := range s.messages {
		s.messages[k].header.Control = &s.controls[k][0]
	}
	return s, nil
}

// Read reads timestamps into dst and returns their number. It waits for the first one, and
// returns 0 after a timeout.
func (s *Stamps) Read(dst []Stamp, wait time.Duration) (n int, err error) {
	for {
		// POLLERR, which reports the error queue, need not be requested.
		poll := []unix.PollFd{{Fd: int32(s.socket)}}
		switch ready, err := unix.Poll(poll, int(wait.Milliseconds())); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("transmit timestamps: %w", err)
		case ready == 0:
			return 0, nil
		}
		if n, err = s.readReady(dst); n > 0 || err != nil {
			return n, err
		}
		_, _ = unix.GetsockoptInt(s.socket, unix.SOL_SOCKET, unix.SO_ERROR) // the interface went down: reading the error clears it
	}
}

// readReady reads the available timestamps.
func (s *Stamps) readReady(dst []Stamp) (n int, err error) {
	count := min(len(dst), stampBatch)
	for k := range count {
		s.messages[k].header.SetControllen(controlSize)
	}
	got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.socket), uintptr(unsafe.Pointer(&s.messages)), uintptr(count),
		unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR, unix.ENETDOWN: // the last one is the error that poll reports
		return 0, nil
	default:
		return 0, fmt.Errorf("transmit timestamps: %w", errno)
	}
	for k := range int(got) {
		if stamp, ok := parseStamp(s.controls[k][:s.messages[k].header.Controllen]); ok {
			dst[n] = stamp
			n++
		}
	}
	return n, nil
}

// parseStamp reads the control messages of one frame: its time and its number.
func parseStamp(control []byte) (stamp Stamp, ok bool) {
	hasTime, hasFrame := false, false
	for len(control) >= unix.SizeofCmsghdr {
		header := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(control)))
		length := int(header.Len)
		if length < unix.SizeofCmsghdr || length > len(control) {
			break
		}
		data := control[unix.CmsgLen(0):length]
		switch {
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_TIMESTAMPING && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
			stamp.Time = (*unix.Timespec)(unsafe.Pointer(unsafe.SliceData(data))).Nano()
			hasTime = true
		case header.Level == unix.SOL_PACKET && header.Type == unix.PACKET_TX_TIMESTAMP && len(data) >= int(unsafe.Sizeof(unix.SockExtendedErr{})):
			stamp.Frame = (*unix.SockExtendedErr)(unsafe.Pointer(unsafe.SliceData(data))).Data
			hasFrame = true
		}
		control = control[min(unix.CmsgSpace(length-unix.CmsgLen(0)), len(control)):]
	}
	return stamp, hasTime && hasFrame
}
