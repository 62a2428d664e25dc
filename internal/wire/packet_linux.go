package wire

import (
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/plural"
	"pcap-replay/stream"
)

const (
	// maxMessages is the number of frames per system call. It is the batch of package
	// schedule, and below the kernel's limit of 1,024 (UIO_MAXIOV): sendmmsg(2).
	maxMessages = 256
	// sendBuffer is the limit for frames under way, in bytes: a batch of jumbo frames of
	// 9,000 bytes, each of which takes three pages of 4 KiB and the kernel's own data.
	sendBuffer = 4 << 20
	// carrierCheck is the interval of checks for the carrier. A check takes less than a
	// microsecond.
	carrierCheck = 10 * time.Millisecond
)

// message is the kernel's struct mmsghdr: sendmmsg(2).
type message struct {
	header unix.Msghdr
	_      uint32 // how much was sent
	_      uint32
}

// packetSender sends on an AF_PACKET socket: packet(7).
type packetSender struct {
	name   string
	socket int
	// isQueued means that frames go through the queueing discipline.
	isQueued bool
	messages [maxMessages]message
	vectors  [maxMessages]unix.Iovec
	retries  uint64
	refused  refusal
	// isShort means that the last call sent fewer frames than it was given. The kernel does
	// not say why: __sys_sendmmsg in net/socket.c.
	isShort bool
	frames  uint32        // sent on the socket, modulo 2^32
	numbers *frameNumbers // nil without timestamps
	// ifreq requests the state of the interface, and checked is the time of the last
	// request.
	ifreq   *unix.Ifreq
	checked time.Time
	// ethernet means that the kernel refuses a frame without an Ethernet header.
	ethernet bool
}

// OpenPacket opens a raw socket on an interface. Its frames go through the queueing
// discipline, and programs that capture on the interface see them. The queueing
// discipline may drop frames without an error: see [Interface.QueueDrops].
func OpenPacket(i *Interface) (Sender, error) { return openPacket(i, true) }

// OpenBypass opens a raw socket whose frames bypass the queueing discipline:
// PACKET_QDISC_BYPASS in packet(7). Nothing drops them before the device, but programs
// that capture on the interface, tc filters and the egress hook of netfilter do not see
// them.
func OpenBypass(i *Interface) (Sender, error) { return openPacket(i, false) }

// openPacket binds the socket with protocol 0, so that it never receives.
func openPacket(i *Interface, isQueued bool) (Sender, error) {
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("interface %q: %w", i.Name, ErrPermission)
	}
	if err != nil {
		return nil, fmt.Errorf("interface %q: packet socket: %w", i.Name, err)
	}
	enlargeSendBuffer(socket)
	if !isQueued {
		if err := unix.SetsockoptInt(socket, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			unix.Close(socket)
			return nil, fmt.Errorf("interface %q: bypass the queueing discipline: %w", i.Name, err)
		}
	}
	if err := unix.Bind(socket, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
		unix.Close(socket)
		return nil, fmt.Errorf("interface %q: bind: %w", i.Name, err)
	}
	ifreq, err := unix.NewIfreq(i.Name)
	if err != nil {
		unix.Close(socket)
		return nil, fmt.Errorf("interface %q: %w", i.Name, err)
	}
	s := &packetSender{
		name: i.Name, socket: socket, isQueued: isQueued, ifreq: ifreq,
		ethernet: i.HasLinkType && i.LinkType == stream.LinkTypeEthernet,
	}
	for k := range s.messages {
		s.messages[k].header.Iov = &s.vectors[k]
		s.messages[k].header.SetIovlen(1)
	}
	return s, nil
}

// enlargeSendBuffer gives a socket room for sendBuffer bytes, as far as that is permitted.
func enlargeSendBuffer(socket int) {
	// The larger size needs a privilege. wmem_max limits the smaller one.
	if unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
}

// stub is too short for any header.
var stub = make([]byte, 1)

// WarmUp implements Sender. The kernel refuses the frame after it has copied it into a
// buffer, and before anything counts it: packet_snd in net/packet/af_packet.c. This halves
// the lateness of a frame after a pause.
func (s *packetSender) WarmUp() {
	if s.ethernet {
		s.point(0, stub)
		_, _ = sendMessages(s.socket, &s.messages, 1, 0)
	}
}

// Send implements Sender. sendmmsg returns the error of a frame only if the frame is the
// first. Otherwise it returns a short count.
func (s *packetSender) Send(packets []stream.Packet) (sent int, err error) {
	if err := s.checkCarrier(); err != nil {
		return 0, err
	}
	for sent < len(packets) {
		count := min(len(packets)-sent, maxMessages)
		n, err := s.sendSome(packets[sent : sent+count])
		sent += n
		if err != nil || n < count {
			return sent, err
		}
	}
	return sent, nil
}

// checkCarrier looks at the carrier every carrierCheck. Without one, the queueing
// discipline drops everything and reports no error: noop_enqueue in
// net/sched/sch_generic.c. A socket that bypasses it gets an error from the device.
func (s *packetSender) checkCarrier() error {
	if !s.isQueued {
		return nil
	}
	now := time.Now()
	if now.Sub(s.checked) < carrierCheck {
		return nil
	}
	s.checked = now
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.socket), unix.SIOCGIFFLAGS, uintptr(unsafe.Pointer(s.ifreq)))
	if errno == 0 && s.ifreq.Uint16()&unix.IFF_RUNNING != 0 {
		return nil
	}
	i, err := Lookup(s.name)
	if err != nil {
		return err
	}
	return i.Ready()
}

// sendSome makes one call of sendmmsg. If the device has no room, it pauses and returns 0.
func (s *packetSender) sendSome(packets []stream.Packet) (sent int, err error) {
	for k := range packets {
		s.point(k, packets[k].Data)
	}
	for {
		n, errno := s.sendNumbered(packets)
		switch errno {
		case 0:
			runtime.KeepAlive(packets)
			s.refused = refusal{}
			return n, nil
		case unix.EINTR:
		case unix.ENOBUFS, unix.EAGAIN:
			s.retries++
			return 0, s.refused.wait(s.name)
		default:
			return 0, s.sendError(errno, len(packets[0].Data))
		}
	}
}

// fitsWithTag reports whether a frame is at most as long as one with a VLAN tag may be. The
// kernel refuses a longer one before it counts it, and this one after that if it has no tag.
func (s *packetSender) fitsWithTag(length int) bool {
	i, err := Lookup(s.name)
	return err == nil && length <= i.MaxFrame()+frame.VLANTagLength
}

// sendNumbered makes one call of sendmmsg and keeps the numbers of the frames. The kernel
// counts a frame after it has copied it, and before the device has room for it or not:
// packet_snd in net/packet/af_packet.c. After a short count, the device had no room, or else
// the next call returns the error.
func (s *packetSender) sendNumbered(packets []stream.Packet) (sent int, errno unix.Errno) {
	wasShort := s.isShort
	if wasShort {
		s.numbers.refuse()
	}
	s.numbers.note(s.frames, len(packets))
	sent, errno = sendMessages(s.socket, &s.messages, len(packets), 0)
	s.isShort = errno == 0 && sent < len(packets)
	switch errno {
	case 0:
		s.numbers.advance(sent)
		s.frames += uint32(sent)
	case unix.ENOBUFS:
		s.numbers.refuse()
	case unix.EINTR, unix.EAGAIN:
	default:
		isCounted := errno == unix.EMSGSIZE && s.fitsWithTag(len(packets[0].Data))
		if isCounted {
			s.numbers.refuse()
		} else if wasShort { // by the same error
			s.numbers.undoRefuse()
		}
		return 0, errno
	}
	if wasShort {
		s.retries++
	}
	return sent, errno
}

// point sets the data of a message.
func (s *packetSender) point(message int, data []byte) {
	s.vectors[message].Base = unsafe.SliceData(data)
	s.vectors[message].SetLen(len(data))
}

// sendMessages calls sendmmsg(2) for the first count of messages.
func sendMessages(socket int, messages *[maxMessages]message, count, flags int) (sent int, errno unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(socket),
		uintptr(unsafe.Pointer(messages)), uintptr(count), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// sendError returns the error for the errno of a frame: packet_snd in
// net/packet/af_packet.c.
func (s *packetSender) sendError(errno unix.Errno, length int) error {
	switch errno {
	case unix.EMSGSIZE:
		return fmt.Errorf("interface %q: frame of %d bytes: %w", s.name, length, ErrTooLong)
	case unix.EINVAL:
		return fmt.Errorf("interface %q: frame of %s: %w", s.name, plural.Of(length, "byte"), frame.ErrTooShort)
	case unix.ENETDOWN:
		return downError(s.name)
	case unix.ENXIO, unix.ENODEV:
		return fmt.Errorf("interface %q: %w", s.name, ErrNoInterface)
	}
	return fmt.Errorf("interface %q: send: %w", s.name, errno)
}

// Flush implements Sender. The kernel has already copied everything.
func (s *packetSender) Flush() error { return nil }

// Retries implements Sender.
func (s *packetSender) Retries() uint64 { return s.retries }

// Drain implements Sender.
func (s *packetSender) Drain() error {
	if !s.isQueued {
		return nil
	}
	if err := drain(s.socket); err != nil {
		return fmt.Errorf("interface %q: %w", s.name, err)
	}
	return nil
}

// Close implements Sender.
func (s *packetSender) Close() error { return unix.Close(s.socket) }
