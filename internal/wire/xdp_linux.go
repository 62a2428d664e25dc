package wire

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/plural"
	"pcap-replay/stream"
)

// AF_XDP in copy mode, only for sending: Documentation/networking/af_xdp.rst. It needs no
// BPF program, but the fill and completion rings have to exist. The frames are in memory
// that is shared with the kernel. One call makes the kernel take many of them.

const (
	xdpFrames = 1024 // with frames of 2048 bytes, a quarter of the usual RLIMIT_MEMLOCK
	xdpRing   = 1024 // descriptors, one for each frame; a power of two
	xdpBatch  = 256  // frames at a time, as with a packet socket
	// xdpRelease is how long to wait for resources that another socket holds.
	xdpRelease = 500 * time.Millisecond
	// mtuCheck is the interval at which the MTU is read.
	mtuCheck = 10 * time.Millisecond

	// optionMaxBudget lets the kernel take more than 32 frames per call, since Linux 6.18.
	optionMaxBudget = 9
)

// xdpSender sends through an AF_XDP socket.
type xdpSender struct {
	name      string
	mtu       int
	mtuSeen   time.Time
	ifreq     *unix.Ifreq // requests the MTU
	control   int         // for ioctl, which AF_XDP sockets do not pass on
	socket    int
	memory    []byte // the frames
	frameSize int
	free      []uint64   // addresses of free frames
	headroom  int        // bytes before each address, for its metadata
	stamps    *xdpStamps // nil without transmit timestamps
	sent      uint32     // frames sent, modulo 2^32
	numbers   []uint32   // number of the last descriptor of each frame

	transmit, completion ring
	produced             uint32 // descriptors given to the kernel
	completed            uint32 // completions taken from the kernel
	last                 uint32 // the highest number of a completed descriptor
	retries              uint64
	// wake makes the kernel take frames from the ring.
	wake func() unix.Errno
}

// ring is a ring that is shared with the kernel.
type ring struct {
	mapping            []byte
	producer, consumer *uint32
	descriptors        uint64 // offset of the descriptors
}

func (r *ring) produced() uint32 { return atomic.LoadUint32(r.producer) }
func (r *ring) consumed() uint32 { return atomic.LoadUint32(r.consumer) }

// OpenXDP opens an AF_XDP socket on a transmit queue of an interface. A queue allows only
// one socket. If it is stamped, [StampFrames] returns its transmit timestamps.
func OpenXDP(i *Interface, queue int, stamped bool) (Sender, error) {
	s, err := newXDPSender(i, stamped)
	if err != nil {
		return nil, err
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

func newXDPSender(i *Interface, stamped bool) (*xdpSender, error) {
	if i.LinkType != stream.LinkTypeEthernet || !i.HasLinkType {
		return nil, fmt.Errorf("interface %q: AF_XDP works only with Ethernet: %w", i.Name, ErrLinkType)
	}
	ifreq, err := unix.NewIfreq(i.Name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", i.Name, err)
	}
	s := &xdpSender{name: i.Name, mtu: i.MTU, ifreq: ifreq, control: -1, socket: -1, frameSize: 2048, last: ^uint32(0)}
	s.wake = s.sendto
	if stamped {
		s.stamps, s.headroom = &xdpStamps{}, xdpMetadataLength
	}
	if s.mtu > s.maxMTU() {
		s.frameSize = 4096 // the most that fits into a page
	}
	if s.mtu > s.maxMTU() {
		return nil, fmt.Errorf("interface %q: an MTU of %d is too large for AF_XDP, which takes up to %d: %w", i.Name, i.MTU, s.maxMTU(), ErrTooLong)
	}
	return s, nil
}

// maxMTU is the maximum MTU whose frames fit into the memory.
func (s *xdpSender) maxMTU() int {
	return s.frameSize - s.headroom - frame.EthernetLength - frame.VLANTagLength
}

func (s *xdpSender) open(index, queue int) (err error) {
	if s.control, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if s.socket, err = unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	size := xdpFrames * s.frameSize
	if s.memory, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE); err != nil {
		return err
	}
	if err := onceReleased(s.registerMemory); err != nil {
		return err
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
	s.layOut()
	err = onceReleased(func() error {
		return unix.Bind(s.socket, &unix.SockaddrXDP{Flags: unix.XDP_COPY | unix.XDP_USE_NEED_WAKEUP, Ifindex: uint32(index), QueueID: uint32(queue)})
	})
	if errors.Is(err, unix.EINVAL) && queue > 0 {
		return errors.New("no such queue")
	}
	return err
}

// registerMemory shares the memory of the frames with the kernel.
func (s *xdpSender) registerMemory() error {
	area := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(s.memory)))), Len: uint64(len(s.memory)), Size: uint32(s.frameSize)}
	if s.stamps != nil {
		area.Flags, area.Tx_metadata_len = unix.XDP_UMEM_TX_METADATA_LEN, uint32(s.headroom)
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(s.socket), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&area)), unsafe.Sizeof(area), 0)
	switch {
	case errno == unix.ENOBUFS:
		return fmt.Errorf("lock %d bytes of memory, over RLIMIT_MEMLOCK: %w", len(s.memory), errno)
	case errno == unix.EINVAL && s.stamps != nil:
		return fmt.Errorf("transmit timestamps need Linux 6.11: %w", errno)
	case errno != 0:
		return errno
	}
	return nil
}

// layOut divides the memory into free frames.
func (s *xdpSender) layOut() {
	for k := range xdpFrames {
		address := uint64(k*s.frameSize + s.headroom)
		s.free = append(s.free, address)
		if s.stamps != nil {
			s.metadata(address).flags = unix.XDP_TXMD_FLAGS_TIMESTAMP
		}
	}
	s.numbers = make([]uint32, xdpFrames)
}

// onceReleased retries while another socket holds a resource: the kernel releases queues
// and memory some time after a socket was closed.
func onceReleased(try func() error) error {
	for deadline := time.Now().Add(xdpRelease); ; time.Sleep(xdpRelease / 50) {
		err := try()
		held := errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOBUFS)
		if !held || time.Now().After(deadline) {
			return err
		}
	}
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

// Send implements Sender. It returns when the kernel has taken the frames from the ring, so
// all counted frames are on their way.
func (s *xdpSender) Send(packets []stream.Packet) (sent int, err error) {
	for sent < len(packets) {
		if now := time.Now(); now.Sub(s.mtuSeen) >= mtuCheck {
			s.mtuSeen = now
			s.lookAtMTU()
		}
		n, refused := s.fill(packets[sent:min(sent+xdpBatch, len(packets))])
		n, err := s.kick(packets[sent : sent+n])
		sent += n
		s.sent += uint32(n)
		s.stamps.publish()
		if err != nil {
			return sent, err
		}
		if refused != nil {
			return sent, refused
		}
	}
	return sent, nil
}

// fill puts frames onto the ring until there are no free ones, or until one cannot be sent.
func (s *xdpSender) fill(packets []stream.Packet) (n int, refused error) {
	s.reap()
	for n < len(packets) && len(s.free) > 0 {
		if refused = s.check(packets[n].Data); refused != nil {
			break
		}
		s.put(s.produced, s.frame(packets[n].Data, s.sent+uint32(n)))
		s.produced++
		n++
	}
	atomic.StoreUint32(s.transmit.producer, s.produced)
	return n, refused
}

// frame copies data into a free frame and returns its descriptor. number is that of the
// frame's timestamp.
func (s *xdpSender) frame(data []byte, number uint32) unix.XDPDesc {
	address := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	copy(s.memory[address:], data)
	d := unix.XDPDesc{Addr: address, Len: uint32(len(data))}
	if s.stamps != nil {
		metadata := s.metadata(address)
		metadata.number, metadata.timestamp = number, 0
		d.Options = unix.XDP_TX_METADATA
	}
	return d
}

// descriptor returns the position on the ring of a descriptor with this number, modulo
// 2^32.
func (s *xdpSender) descriptor(number uint32) *unix.XDPDesc {
	at := s.transmit.descriptors + uint64(number%xdpRing)*uint64(unsafe.Sizeof(unix.XDPDesc{}))
	return (*unix.XDPDesc)(unsafe.Pointer(&s.transmit.mapping[at]))
}

func (s *xdpSender) put(number uint32, d unix.XDPDesc) {
	*s.descriptor(number) = d
	s.numbers[d.Addr/uint64(s.frameSize)] = number
}

// lookAtMTU reads the MTU, which may change, in under a microsecond: netdevice(7). If it
// cannot be read, sending will return the reason.
func (s *xdpSender) lookAtMTU() {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.control), unix.SIOCGIFMTU, uintptr(unsafe.Pointer(s.ifreq)))
	if errno == 0 {
		s.mtu = min(int(s.ifreq.Uint32()), s.maxMTU())
	}
}

// check makes the checks that AF_XDP does not make: it would pass any frame to the device.
func (s *xdpSender) check(data []byte) error {
	switch {
	case len(data) < frame.EthernetLength:
		return fmt.Errorf("interface %q: frame of %s: %w", s.name, plural.Of(len(data), "byte"), frame.ErrTooShort)
	case len(data) > frame.MaxLength(data, s.mtu):
		return fmt.Errorf("interface %q: frame of %d bytes: %w", s.name, len(data), ErrTooLong)
	}
	return nil
}

// kick makes the kernel take packets, which are the last ones on the ring, and returns how
// many are on their way. The kernel takes a number of frames per call, and none while the
// device has no room.
func (s *xdpSender) kick(packets []stream.Packet) (sent int, err error) {
	first := s.produced - uint32(len(packets)) // the descriptor of packets[0]
	var refused refusal
	for s.transmit.consumed() != s.produced || len(s.free) == 0 {
		consumed := s.transmit.consumed()
		errno := s.wake()
		s.reap()
		completed := max(int(int32(s.last+1-first)), 0)
		moved := completed > sent || s.transmit.consumed() != consumed
		switch errno {
		case 0, unix.EAGAIN, unix.EINTR:
		case unix.ENOBUFS:
			s.retries++
		case unix.EBUSY: // the device did not accept the frame that was completed last
			if completed == 0 {
				return sent, fmt.Errorf("interface %q: AF_XDP lost track of a frame: %w", s.name, errno)
			}
			completed--
			s.stamps.remove(s.sent + uint32(completed))
			moved = completed > sent
			s.lookAtMTU()
			if err := s.check(packets[completed].Data); err != nil {
				if err := s.withdraw(); err != nil {
					return completed, err
				}
				return completed, err
			}
			s.putAgain(packets[completed].Data, s.sent+uint32(completed))
			first++
			s.retries++
		case unix.ENETDOWN:
			return completed, downError(s.name)
		case unix.ENXIO, unix.ENODEV:
			return completed, fmt.Errorf("interface %q: %w", s.name, ErrNoInterface)
		default:
			return completed, fmt.Errorf("interface %q: send: %w", s.name, errno)
		}
		sent = completed
		if moved {
			refused = refusal{}
		} else if err := refused.wait(s.name); err != nil {
			return sent, err
		}
	}
	return len(packets), nil
}

// putAgain puts the frame that was completed last back at the head of the frames that the
// kernel has not seen yet: __xsk_generic_xmit in net/xdp/xsk.c.
func (s *xdpSender) putAgain(data []byte, frame uint32) {
	for number := s.produced; number != s.last+1; number-- {
		s.put(number, *s.descriptor(number - 1))
	}
	s.put(s.last+1, s.frame(data, frame))
	s.produced++
	atomic.StoreUint32(s.transmit.producer, s.produced)
}

// withdraw takes back the frames on the ring that the kernel has not seen yet. The kernel
// skips descriptors with invalid addresses. Some kernels complete them, others do not.
func (s *xdpSender) withdraw() error {
	for number := s.last + 1; number != s.produced; number++ {
		d := s.descriptor(number)
		s.free = append(s.free, d.Addr)
		d.Addr = s.nowhere()
	}
	s.last = s.produced - 1
	for tries := 0; s.transmit.consumed() != s.produced; tries++ {
		errno := s.wake()
		if tries == xdpFrames {
			return fmt.Errorf("interface %q: AF_XDP does not release unsent frames: %w", s.name, errno)
		}
	}
	return nil
}

// nowhere is an address that is beyond all frames, and so is its metadata.
func (s *xdpSender) nowhere() uint64 { return uint64(len(s.memory) + s.headroom) }

// sendto makes the kernel take frames from the ring, without waiting for room in the
// device.
func (s *xdpSender) sendto() unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(s.socket), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// reap frees the completed frames.
func (s *xdpSender) reap() {
	for end := s.completion.produced(); s.completed != end; s.completed++ {
		at := s.completion.descriptors + uint64(s.completed%xdpRing)*8
		address := *(*uint64)(unsafe.Pointer(&s.completion.mapping[at]))
		if address == s.nowhere() {
			continue
		}
		s.free = append(s.free, address)
		if s.stamps != nil {
			s.stamps.note(s.metadata(address))
		}
		if number := s.numbers[address/uint64(s.frameSize)]; int32(number-s.last) > 0 {
			s.last = number
		}
	}
	atomic.StoreUint32(s.completion.consumer, s.completed)
}

// WarmUp implements Sender. It does nothing, because everything on the ring is sent.
func (s *xdpSender) WarmUp() {}

// Flush implements Sender. Send has already passed everything on.
func (s *xdpSender) Flush() error { return nil }

// Drain implements Sender. AF_XDP bypasses the queueing discipline, so it only waits for
// timestamps.
func (s *xdpSender) Drain() error {
	if s.stamps == nil {
		return nil
	}
	moved := time.Now()
	for left := -1; ; time.Sleep(drainPoll) {
		s.reap()
		s.stamps.publish()
		under := xdpFrames - len(s.free)
		if under != left {
			left, moved = under, time.Now()
		}
		if under == 0 || time.Since(moved) > completionPatience {
			return nil
		}
	}
}

// Retries implements Sender.
func (s *xdpSender) Retries() uint64 { return s.retries }

// Close implements Sender. Frames on their way keep references of their own.
func (s *xdpSender) Close() error {
	for _, mapping := range [][]byte{s.transmit.mapping, s.completion.mapping, s.memory} {
		if mapping != nil {
			_ = unix.Munmap(mapping)
		}
	}
	s.transmit.mapping, s.completion.mapping, s.memory = nil, nil, nil
	var errs []error
	for _, socket := range []*int{&s.socket, &s.control} {
		if *socket >= 0 {
			errs = append(errs, unix.Close(*socket))
		}
		*socket = -1
	}
	return errors.Join(errs...)
}
