package wire

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// stampBatch is the number of timestamps per recvmmsg(2). They take 20 KiB here, which
	// stay in the first cache.
	stampBatch = 64
	// stampBuffer is the size of the socket buffer for unread timestamps, in bytes. The
	// kernel counts less than 1 KiB for each, so it holds more than 32,768.
	stampBuffer = 32 << 20
	// controlSize is the size of the control messages of a timestamp, in bytes, of which
	// SCM_TIMESTAMPING takes 64, and IP_RECVERR or IPV6_RECVERR at most 64.
	controlSize = 256
)

// stampFlags request a software timestamp for each frame, with the number of the frame and
// without its data.
const stampFlags = unix.SOF_TIMESTAMPING_TX_SOFTWARE | unix.SOF_TIMESTAMPING_SOFTWARE |
	unix.SOF_TIMESTAMPING_OPT_ID | unix.SOF_TIMESTAMPING_OPT_TSONLY

// socketStamps reads the transmit timestamps of the packet sockets or UDP sockets of
// a sender: section 1.3 of Documentation/networking/timestamping.rst.
type socketStamps struct {
	sockets []stampedSocket
	// answered is called with ICMP errors, which arrive in the same queue.
	answered func(unix.Errno)
	poll     []unix.PollFd
	messages [stampBatch]message
	controls [stampBatch][controlSize]byte
}

// stampedSocket is a socket and the numbers of its frames.
type stampedSocket struct {
	descriptor int
	numbers    *frameNumbers
}

// StampFrames makes the kernel timestamp each frame that a sender sends from now on. An
// AF_XDP socket must have been opened for it. Timestamps are lost if many are not read.
func StampFrames(sender Sender) (Stamps, error) {
	switch sender := sender.(type) {
	case *packetSender:
		sender.numbers = &frameNumbers{}
		return stampSockets([]stampedSocket{{sender.socket, sender.numbers}}, func(unix.Errno) {})
	case *TunnelSender:
		var sockets []stampedSocket
		for _, socket := range sender.sockets {
			socket.numbers = &frameNumbers{}
			sockets = append(sockets, stampedSocket{socket.descriptor, socket.numbers})
		}
		return stampSockets(sockets, sender.answered)
	case *xdpSender:
		if sender.stamps != nil {
			return sender.stamps, nil
		}
	}
	return nil, errors.New("transmit timestamps: the socket was opened without them")
}

// stampSockets turns on the timestamps of sockets. Unread timestamps are lost when they fill
// stampBuffer.
func stampSockets(sockets []stampedSocket, answered func(unix.Errno)) (Stamps, error) {
	s := &socketStamps{sockets: sockets, answered: answered}
	for _, socket := range s.sockets {
		if err := unix.SetsockoptInt(socket.descriptor, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, stampFlags); err != nil {
			return nil, fmt.Errorf("transmit timestamps: %w", err)
		}
		if unix.SetsockoptInt(socket.descriptor, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, stampBuffer) != nil {
			_ = unix.SetsockoptInt(socket.descriptor, unix.SOL_SOCKET, unix.SO_RCVBUF, stampBuffer)
		}
		s.poll = append(s.poll, unix.PollFd{Fd: int32(socket.descriptor)})
	}
	for k := range s.messages {
		s.messages[k].header.Control = &s.controls[k][0]
	}
	return s, nil
}

// Read implements Stamps.
func (s *socketStamps) Read(dst []Stamp, wait time.Duration) (n int, err error) {
	for {
		// POLLERR, which reports the error queue, need not be requested.
		switch ready, err := unix.Poll(s.poll, int(wait.Milliseconds())); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("transmit timestamps: %w", err)
		case ready == 0:
			return 0, nil
		}
		for k := range s.poll {
			if s.poll[k].Revents == 0 {
				continue
			}
			got, err := s.readReady(s.sockets[k], dst[n:])
			if n += got; err != nil {
				return n, err
			}
			if got == 0 && n < len(dst) { // the interface went down: reading the error clears it
				_, _ = unix.GetsockoptInt(s.sockets[k].descriptor, unix.SOL_SOCKET, unix.SO_ERROR)
			}
		}
		if n > 0 {
			return n, nil
		}
	}
}

// readReady reads the available timestamps of a socket.
func (s *socketStamps) readReady(socket stampedSocket, dst []Stamp) (n int, err error) {
	count := min(len(dst), stampBatch)
	for k := range count {
		s.messages[k].header.SetControllen(controlSize)
	}
	got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(socket.descriptor), uintptr(unsafe.Pointer(&s.messages)), uintptr(count),
		unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR, unix.ENETDOWN: // the last one is the error that poll reports
		return 0, nil
	default:
		return 0, fmt.Errorf("transmit timestamps: %w", errno)
	}
	for k := range int(got) {
		stamp, ok, answer := parseStamp(s.controls[k][:s.messages[k].header.Controllen])
		if answer != 0 {
			s.answered(answer)
		}
		if !ok {
			continue
		}
		if frame, wasSent := socket.numbers.of(stamp.Frame); wasSent {
			dst[n] = Stamp{Frame: frame, Time: stamp.Time}
			n++
		}
	}
	return n, nil
}

// parseStamp reads the control messages of one entry of the error queue: the time and the
// number of a frame, or the error of an ICMP message.
func parseStamp(control []byte) (stamp Stamp, ok bool, answer unix.Errno) {
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
		case isExtendedError(header) && len(data) >= int(unsafe.Sizeof(unix.SockExtendedErr{})):
			extended := (*unix.SockExtendedErr)(unsafe.Pointer(unsafe.SliceData(data)))
			switch extended.Origin {
			case unix.SO_EE_ORIGIN_TIMESTAMPING:
				stamp.Frame = extended.Data
				hasFrame = true
			case unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6:
				answer = unix.Errno(extended.Errno)
			}
		}
		control = control[min(unix.CmsgSpace(length-unix.CmsgLen(0)), len(control)):]
	}
	return stamp, hasTime && hasFrame, answer
}

// isExtendedError reports whether a control message is a struct sock_extended_err, of a
// packet socket or a UDP socket.
func isExtendedError(header *unix.Cmsghdr) bool {
	switch header.Level {
	case unix.SOL_PACKET:
		return header.Type == unix.PACKET_TX_TIMESTAMP
	case unix.SOL_IP:
		return header.Type == unix.IP_RECVERR
	case unix.SOL_IPV6:
		return header.Type == unix.IPV6_RECVERR
	}
	return false
}
