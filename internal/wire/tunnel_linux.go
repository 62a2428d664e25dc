package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pcap-replay/stream"
)

// TunnelSender sends frames in UDP datagrams. It needs no privilege. The kernel gives a
// datagram the source port of its socket, so there is a socket for each source port.
type TunnelSender struct {
	tunnel   Tunnel
	ports    flowPorts
	sockets  []*tunnelSocket
	messages [maxMessages]message
	vectors  [maxMessages][2]unix.Iovec // the header and the frame
	frames   uint32                     // sent so far, modulo 2^32
	retries  uint64
	refused  refusal
	mtu      int
	// answer is an error that was the answer to an earlier frame if the next call sends.
	answer unix.Errno
	// isAnswered means that an ICMP error was reported.
	isAnswered  atomic.Bool
	undelivered atomic.Int64
	failedHop   netip.Addr
}

// tunnelSocket is a UDP socket that is connected to the other end.
type tunnelSocket struct {
	descriptor int
	// numbers is nil without timestamps.
	numbers *frameNumbers
}

// OpenTunnel opens one of count senders for a tunnel. Each sends the packets for which
// frame.ShardOf returns its index among count.
func OpenTunnel(tunnel Tunnel, index, count int) (*TunnelSender, error) {
	s := &TunnelSender{tunnel: tunnel, ports: portsOf(count)}
	for k := range int(s.ports.count) {
		socket, err := s.openSocket((index*int(s.ports.count) + k) % sourcePorts)
		if err != nil {
			s.Close()
			return nil, tunnel.named(err)
		}
		s.sockets = append(s.sockets, &tunnelSocket{descriptor: socket})
	}
	if err := s.readMTU(); err != nil {
		s.Close()
		return nil, err
	}
	if index == 0 {
		s.resolveNeighbor()
	}
	for k := range s.messages {
		s.vectors[k][0].Base = &s.tunnel.Header[0]
		s.vectors[k][0].SetLen(len(s.tunnel.Header))
		s.messages[k].header.Iov = &s.vectors[k][0]
		s.messages[k].header.SetIovlen(len(s.vectors[k]))
	}
	return s, nil
}

// openSocket opens a socket with a source port from one part of the range.
func (s *TunnelSender) openSocket(part int) (socket int, err error) {
	remote, err := socketAddress(s.tunnel.Remote)
	if err != nil {
		return 0, err
	}
	for k := range portsToTry {
		local := netip.AddrPortFrom(unspecified(s.tunnel.Remote.Addr()), uint16(firstPort+part*portsToTry+k))
		socket, err = s.openBound(local, remote)
		if !errors.Is(err, unix.EADDRINUSE) {
			return socket, err
		}
	}
	return 0, err
}

// openBound opens a socket between two addresses.
func (s *TunnelSender) openBound(local netip.AddrPort, remote unix.Sockaddr) (socket int, err error) {
	family := unix.AF_INET6
	if local.Addr().Is4() {
		family = unix.AF_INET
	}
	if socket, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, fmt.Errorf("UDP socket: %w", err)
	}
	if err := s.setUp(socket, family, local, remote); err != nil {
		unix.Close(socket)
		return 0, err
	}
	return socket, nil
}

// setUp sets the options of a socket, binds it and connects it.
func (s *TunnelSender) setUp(socket, family int, local netip.AddrPort, remote unix.Sockaddr) error {
	for _, option := range s.options(family) {
		if err := unix.SetsockoptInt(socket, option.level, option.name, option.value); err != nil {
			return fmt.Errorf("%s: %w", option.title, err)
		}
	}
	enlargeSendBuffer(socket)
	from, err := socketAddress(local)
	if err != nil {
		return err
	}
	if err := unix.Bind(socket, from); err != nil {
		return fmt.Errorf("source port %d: %w", local.Port(), err)
	}
	if err := unix.Connect(socket, remote); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// socketOption is an argument of setsockopt(2).
type socketOption struct {
	level, name, value int
	title              string
}

// options are set before a socket is connected. A datagram is never fragmented. With
// IP_RECVERR, the queueing discipline reports that it has no room: udp_send_skb in
// net/ipv4/udp.c. Without it, it drops the datagram silently.
func (s *TunnelSender) options(family int) []socketOption {
	if family == unix.AF_INET6 {
		return []socketOption{
			{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO, "IPV6_MTU_DISCOVER"},
			{unix.SOL_IPV6, unix.IPV6_RECVERR, 1, "IPV6_RECVERR"},
		}
	}
	options := []socketOption{
		{unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO, "IP_MTU_DISCOVER"},
		{unix.SOL_IP, unix.IP_RECVERR, 1, "IP_RECVERR"},
	}
	if s.tunnel.ZeroChecksum {
		options = append(options, socketOption{unix.SOL_SOCKET, unix.SO_NO_CHECK, 1, "SO_NO_CHECK"})
	}
	return options
}

func socketAddress(address netip.AddrPort) (unix.Sockaddr, error) {
	if address.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}, nil
	}
	to := &unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()}
	if zone := address.Addr().Zone(); zone != "" {
		i, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("interface %q: %w", zone, ErrNoInterface)
		}
		to.ZoneId = uint32(i.Index)
	}
	return to, nil
}

func unspecified(remote netip.Addr) netip.Addr {
	if remote.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// readMTU asks for the MTU of the route, which may change.
func (s *TunnelSender) readMTU() (err error) {
	level, name := unix.SOL_IPV6, unix.IPV6_MTU
	if s.tunnel.Remote.Addr().Is4() {
		level, name = unix.SOL_IP, unix.IP_MTU
	}
	s.mtu, err = unix.GetsockoptInt(s.sockets[0].descriptor, level, name)
	if err != nil {
		return fmt.Errorf("%s: MTU of the route: %w", s.tunnel.Name, err)
	}
	return nil
}

// discard is the port of the discard protocol: RFC 863.
const discard = 9

// resolveNeighbor makes the kernel look up the link-layer address of the next hop. While it
// does so, it keeps only a few datagrams (unres_qlen_bytes in ip-sysctl.rst) and drops the
// others silently. An empty datagram to the discard port starts the lookup before the first
// frame.
func (s *TunnelSender) resolveNeighbor() {
	remote, err := socketAddress(netip.AddrPortFrom(s.tunnel.Remote.Addr(), discard))
	if err != nil {
		return
	}
	socket, err := s.openBound(netip.AddrPortFrom(unspecified(s.tunnel.Remote.Addr()), 0), remote)
	if err != nil {
		return
	}
	defer unix.Close(socket)
	_, _ = unix.SendmsgN(socket, nil, nil, nil, 0)
}

// MaxFrame is the maximum length of a frame in bytes, with all VLAN tags.
func (s *TunnelSender) MaxFrame() int { return s.tunnel.maxFrame(s.mtu) }

// msgProbe is MSG_PROBE of linux/socket.h.
const msgProbe = 0x10

// WarmUp implements Sender. MSG_PROBE makes the kernel look up the route and send nothing:
// ip_make_skb in net/ipv4/ip_output.c.
func (s *TunnelSender) WarmUp() {
	s.point(0, stub)
	_, _ = sendMessages(s.sockets[0].descriptor, &s.messages, 1, msgProbe)
}

// Send implements Sender. Packets that follow one another and have the same source port
// leave with one system call. The order of all packets is kept.
func (s *TunnelSender) Send(packets []stream.Packet) (sent int, err error) {
	for sent < len(packets) {
		socket, count := s.gather(packets[sent:])
		n, errno := s.sendSome(socket, packets[sent:sent+count])
		sent += n
		if n > 0 {
			s.refused = refusal{}
			s.reportAnswer(socket)
		}
		if errno != 0 {
			return sent, s.handle(errno, len(packets[sent].Data))
		}
		if n < count {
			return sent, nil
		}
	}
	runtime.KeepAlive(packets)
	return sent, nil
}

// gather points messages at the first packets that have the same source port.
func (s *TunnelSender) gather(packets []stream.Packet) (socket *tunnelSocket, count int) {
	port := s.ports.of(&packets[0])
	for count < min(len(packets), maxMessages) && (count == 0 || s.ports.of(&packets[count]) == port) {
		s.point(count, packets[count].Data)
		count++
	}
	return s.sockets[port], count
}

// point sets the frame of a message.
func (s *TunnelSender) point(message int, data []byte) {
	s.vectors[message][1].Base = unsafe.SliceData(data)
	s.vectors[message][1].SetLen(len(data))
}

// sendSome makes one call of sendmmsg. An errno is that of the packet after those that were
// sent.
func (s *TunnelSender) sendSome(socket *tunnelSocket, packets []stream.Packet) (sent int, errno unix.Errno) {
	socket.numbers.note(s.frames, len(packets))
	sent, errno = sendMessages(socket.descriptor, &s.messages, len(packets), 0)
	if errno != 0 {
		socket.numbers.restart(socket.descriptor)
		return 0, errno
	}
	socket.numbers.advance(sent)
	s.frames += uint32(sent)
	return sent, 0
}

// named adds the name of the tunnel to an error, and what to do next.
func (t *Tunnel) named(err error) error {
	hint := ""
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		hint = "ip route get " + t.Remote.Addr().String()
	}
	return &stateError{t.Name, err, hint}
}

// handle returns nil if the frame of this length is to be sent again.
func (s *TunnelSender) handle(errno unix.Errno, length int) error {
	switch errno {
	case unix.EINTR:
		return nil
	case unix.ENOBUFS, unix.EAGAIN:
		s.retries++
		if !s.refused.pause() {
			return fmt.Errorf("%s: frame %w for %v", s.tunnel.Name, ErrRefused, patience)
		}
		return nil
	case unix.EMSGSIZE:
		// It may also be the answer to an earlier frame, from a router with a smaller MTU.
		s.answer = errno
		if err := s.readMTU(); err != nil {
			return err
		}
		if length > s.MaxFrame() {
			return fmt.Errorf("%s: frame of %d bytes, at most %d on a route with an MTU of %d: %w", s.tunnel.Name, length, s.MaxFrame(), s.mtu, ErrTooLong)
		}
		return s.sendAgain(errno)
	}
	if isAnswer(errno) {
		s.answer = errno
		return s.sendAgain(errno)
	}
	return s.tunnel.named(fmt.Errorf("send: %w", errno))
}

// sendAgain returns nil at once for an error that may be the answer to an earlier frame. If
// the error comes again, it is this frame's own.
func (s *TunnelSender) sendAgain(errno unix.Errno) error {
	if s.refused.since.IsZero() {
		s.refused.since = time.Now()
		return nil
	}
	if !s.refused.pause() {
		return s.tunnel.named(fmt.Errorf("send: %w, for %v", errno, patience))
	}
	return nil
}

// Flush implements Sender. The kernel has already copied everything.
func (s *TunnelSender) Flush() error { return nil }

// Retries implements Sender.
func (s *TunnelSender) Retries() uint64 { return s.retries }

// Close implements Sender.
func (s *TunnelSender) Close() error {
	var errs []error
	for _, socket := range s.sockets {
		errs = append(errs, unix.Close(socket.descriptor))
	}
	s.sockets = nil
	return errors.Join(errs...)
}
