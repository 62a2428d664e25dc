package wire

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pcap-replay/stream"
)

// AF_XDP in copy mode, for sending alone: Documentation/networking/af_xdp.rst. It
// needs no BPF program, but the fill and completion rings have to exist. The
// frames lie in memory that is shared with the kernel; one call has it take many.

const (
	xdpFrames  = 2048 // with frames of 2048 bytes, less than the usual RLIMIT_MEMLOCK
	xdpRing    = 2048 // descriptors; a power of two
	xdpPatient = time.Second

	// optionMaxBudget lets the kernel take more than 32 frames a call; since 6.18.
	optionMaxBudget = 9
)

// xdpSender sends through an AF_XDP socket.
type xdpSender struct {
	name      string
	maxFrame  int
	socket    int
	memory    []byte // the frames
	frameSize int
	free      []uint64 // addresses of the frames that are nobody's

	transmit, completion ring
	produced             uint32 // descriptors given to the kernel
	completed            uint32
	retries              uint64
}

// ring is one that is shared with the kernel.
type ring struct {
	mapping            []byte
	producer, consumer *uint32
	descriptors        uint64 // where they begin
}

func (r *ring) produced() uint32 { return atomic.LoadUint32(r.producer) }
func (r *ring) consumed() uint32 { return atomic.LoadUint32(r.consumer) }

// OpenXDP opens an AF_XDP socket on a transmit queue of an interface. Each queue
// takes one.
func OpenXDP(i *Interface, queue int) (Sender, error) {
	if i.LinkType != stream.LinkTypeEthernet || !i.HasLinkType {
		return nil, fmt.Errorf("interface %q: AF_XDP takes Ethernet only: %w", i.Name, ErrLinkType)
	}
	s := &xdpSender{name: i.Name, maxFrame: i.MaxFrame(), socket: -1, frameSize: 2048}
	if s.maxFrame+vlanTagLength > s.frameSize {
		s.frameSize = 4096 // the most that fits a page
	}
	if s.maxFrame+vlanTagLength > s.frameSize {
		return nil, fmt.Errorf("interface %q: an MTU of %d is too large for AF_XDP: %w", i.Name, i.MTU, ErrTooLong)
	}
	if err := s.open(i.Index, queue); err != nil {
		s.Close()
		if errors.Is(err, unix.EPERM) {
			err = ErrPermission
		}
		return nil, fmt.Errorf("interface %q: AF_XDP on queue %d: %w", i.Name, queue, err)
	}
	return s, nil
}

func (s *xdpSender) open(index, queue int) (err error) {
	if s.socket, err = unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	size := xdpFrames * s.frameSize
	if s.memory, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE); err != nil {
		return err
	}
	area := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(s.memory)))), Len: uint64(size), Size: uint32(s.frameSize)}
	if _, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(s.socket), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&area)), unsafe.Sizeof(area), 0); errno != 0 {
		return errno
	}
	for _, option := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_TX_RING} {
		if err := unix.SetsockoptInt(s.socket, unix.SOL_XDP, option, xdpRing); err != nil {
			return err
		}
	}
	_ = unix.SetsockoptInt(s.socket, unix.SOL_XDP, optionMaxBudget, xdpRing/2)
	if err := s.mapRings(); err != nil {
		return err
	}
	for k := range uint64(xdpFrames) {
		s.free = append(s.free, k*uint64(s.frameSize))
	}
	return unix.Bind(s.socket, &unix.SockaddrXDP{Flags: unix.XDP_COPY | unix.XDP_USE_NEED_WAKEUP, Ifindex: uint32(index), QueueID: uint32(queue)})
}

func (s *xdpSender) mapRings() error {
	var offsets unix.XDPMmapOffsets
	length := uint32(unsafe.Sizeof(offsets))
	if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.socket), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS,
		uintptr(unsafe.Pointer(&offsets)), uintptr(unsafe.Pointer(&length)), 0); errno != 0 {
		return errno
	}
	if err := s.transmit.open(s.socket, unix.XDP_PGOFF_TX_RING, &offsets.Tx, unsafe.Sizeof(unix.XDPDesc{})); err != nil {
		return err
	}
	return s.completion.open(s.socket, unix.XDP_UMEM_PGOFF_COMPLETION_RING, &offsets.Cr, unsafe.Sizeof(uint64(0)))
}

func (r *ring) open(socket int, page int64, offset *unix.XDPRingOffset, descriptorSize uintptr) (err error) {
	size := int(offset.Desc) + xdpRing*int(descriptorSize)
	if r.mapping, err = unix.Mmap(socket, page, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return err
	}
	r.producer = (*uint32)(unsafe.Pointer(&r.mapping[offset.Producer]))
	r.consumer = (*uint32)(unsafe.Pointer(&r.mapping[offset.Consumer]))
	r.descriptors = offset.Desc
	return nil
}

// Send implements Sender. It returns once the kernel has taken the frames off the
// ring, so that what it counts is on its way.
func (s *xdpSender) Send(packets []stream.Packet) (sent int, err error) {
	for sent < len(packets) {
		n, refused := s.fill(packets[sent:])
		if err := s.kick(); err != nil {
			return sent, err // the ring may hold some: the interface is lost
		}
		sent += n
		if refused != nil {
			return sent, refused
		}
	}
	return sent, nil
}

// fill puts as many frames onto the ring as there is room for, up to one that
// cannot be sent.
func (s *xdpSender) fill(packets []stream.Packet) (n int, refused error) {
	s.reap()
	for n < len(packets) && n < xdpRing && len(s.free) > 0 {
		data := packets[n].Data
		if refused = s.check(data); refused != nil {
			break
		}
		address := s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
		copy(s.memory[address:], data)
		at := s.transmit.descriptors + uint64(s.produced%xdpRing)*uint64(unsafe.Sizeof(unix.XDPDesc{}))
		*(*unix.XDPDesc)(unsafe.Pointer(&s.transmit.mapping[at])) = unix.XDPDesc{Addr: address, Len: uint32(len(data))}
		s.produced++
		n++
	}
	atomic.StoreUint32(s.transmit.producer, s.produced)
	return n, refused
}

// check does what AF_XDP does not: it would hand any frame to the device.
func (s *xdpSender) check(data []byte) error {
	longest := s.maxFrame
	if len(data) >= ethernetHeaderLength && isVLANTag(uint16(data[12])<<8|uint16(data[13])) {
		longest += vlanTagLength
	}
	switch {
	case len(data) < ethernetHeaderLength:
		return fmt.Errorf("interface %q: frame of %d bytes: %w", s.name, len(data), ErrTooShort)
	case len(data) > longest:
		return fmt.Errorf("interface %q: frame of %d bytes: %w", s.name, len(data), ErrTooLong)
	}
	return nil
}

// kick has the kernel take what is on the ring. It takes a number of frames a
// call, and none while the device has no room.
func (s *xdpSender) kick() error {
	started := time.Time{}
	for s.transmit.consumed() != s.produced || len(s.free) == 0 {
		before := s.transmit.consumed()
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(s.socket), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0, unix.EAGAIN, unix.EINTR:
		case unix.EBUSY, unix.ENOBUFS:
			s.retries++
		case unix.ENETDOWN:
			return fmt.Errorf("interface %q: %w", s.name, ErrDown)
		case unix.ENXIO, unix.ENODEV:
			return fmt.Errorf("interface %q: %w", s.name, ErrNoInterface)
		default:
			return fmt.Errorf("interface %q: send: %w", s.name, errno)
		}
		s.reap()
		if s.transmit.consumed() != before || len(s.free) > 0 && s.transmit.consumed() == s.produced {
			started = time.Time{}
			continue
		}
		if started.IsZero() {
			started = time.Now()
		} else if time.Since(started) > xdpPatient {
			return fmt.Errorf("interface %q: the kernel has taken no frame for %v", s.name, xdpPatient)
		}
		time.Sleep(retryPause)
	}
	return nil
}

// reap takes back the frames that have left.
func (s *xdpSender) reap() {
	for end := s.completion.produced(); s.completed != end; s.completed++ {
		at := s.completion.descriptors + uint64(s.completed%xdpRing)*8
		s.free = append(s.free, *(*uint64)(unsafe.Pointer(&s.completion.mapping[at])))
	}
	atomic.StoreUint32(s.completion.consumer, s.completed)
}

// Flush implements Sender: Send has handed everything on.
func (s *xdpSender) Flush() error { return nil }

// Retries implements Sender.
func (s *xdpSender) Retries() uint64 { return s.retries }

// Close implements Sender. Frames that are under way have references of their own.
func (s *xdpSender) Close() error {
	for _, mapping := range [][]byte{s.transmit.mapping, s.completion.mapping, s.memory} {
		if mapping != nil {
			_ = unix.Munmap(mapping)
		}
	}
	s.transmit.mapping, s.completion.mapping, s.memory = nil, nil, nil
	if s.socket < 0 {
		return nil
	}
	socket := s.socket
	s.socket = -1
	return unix.Close(socket)
}
