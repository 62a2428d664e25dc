package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// An ICMP error that answers a frame comes back twice: as the error of a later call of the
// socket, and as an entry of its error queue (IP_RECVERR in ip(7)). Each entry stands for one
// datagram. With timestamps, socketStamps reads the queue, because it has these as well.

// isAnswer reports whether an error may come from an ICMP message that answers an earlier
// frame: icmp_err_convert in net/ipv4/icmp.c and tab_unreach in net/ipv6/icmp.c. Such an
// error is reported once, and the next call sends. If a route is missing here, the error
// stays.
func isAnswer(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT, unix.EACCES, unix.EPROTO, unix.EOPNOTSUPP:
		return true
	}
	return false
}

// reportAnswer reports what has answered the call before.
func (s *TunnelSender) reportAnswer(socket *tunnelSocket) {
	if s.answer == 0 {
		return
	}
	s.answer = 0
	s.readAnswers(socket)
}

// readAnswers reports the ICMP errors in the error queue of a socket.
func (s *TunnelSender) readAnswers(socket *tunnelSocket) {
	if socket.numbers != nil {
		return // see socketStamps
	}
	control := make([]byte, controlSize)
	for {
		_, length, _, _, err := unix.Recvmsg(socket.descriptor, nil, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return // the queue is empty
		}
		if _, _, answer := parseStamp(control[:length]); answer != 0 {
			s.answered(answer)
		}
	}
}

// answered counts an ICMP error, and reports the first one. It is safe for concurrent use. If
// nothing listens at the port, the datagram has been delivered nevertheless: a program that
// captures at the other end sees it.
func (s *TunnelSender) answered(errno unix.Errno) {
	if errno != unix.ECONNREFUSED {
		s.undelivered.Add(1)
	}
	if errno == unix.EMSGSIZE || s.isAnswered.Swap(true) {
		return
	}
	if errno == unix.ECONNREFUSED {
		s.tunnel.Unreachable(fmt.Errorf("nothing listens at UDP port %d of %s", s.tunnel.Remote.Port(), s.tunnel.Remote.Addr()))
		return
	}
	s.tunnel.Unreachable(fmt.Errorf("%s: %w", s.tunnel.Remote.Addr(), errno))
}

// Undelivered is the number of datagrams of which an ICMP error says that they did not arrive.
// There may be more, because routers limit the rate of these errors. It is safe for concurrent
// use.
func (s *TunnelSender) Undelivered() int64 { return s.undelivered.Load() }

// FailedHop is the address of the next hop if it has no link-layer address at the end, so that
// the kernel has dropped frames. It is valid after Drain.
func (s *TunnelSender) FailedHop() (hop netip.Addr, failed bool) {
	return s.failedHop, s.failedHop.IsValid()
}

// answerGrace is how long an ICMP error may take after the last frame: a round trip on a
// wide network.
const answerGrace = 50 * time.Millisecond

// Drain implements Sender. It also waits until the kernel has found the next hop or has given
// up, and for an ICMP error if there was none so far.
func (s *TunnelSender) Drain() error {
	for _, socket := range s.sockets {
		if err := drain(socket.descriptor); err != nil {
			return fmt.Errorf("%s: %w", s.tunnel.Name, err)
		}
	}
	if s.frames == 0 {
		return nil
	}
	s.failedHop = awaitHop(s.tunnel.Remote.Addr())
	if !s.isAnswered.Load() {
		s.awaitAnswer()
	}
	for _, socket := range s.sockets {
		s.readAnswers(socket)
	}
	return nil
}

// awaitAnswer waits until a socket has an ICMP error, but not longer than answerGrace.
func (s *TunnelSender) awaitAnswer() {
	poll := make([]unix.PollFd, len(s.sockets)) // POLLERR need not be requested
	for k, socket := range s.sockets {
		poll[k].Fd = int32(socket.descriptor)
	}
	_, _ = unix.Poll(poll, int(answerGrace.Milliseconds()))
}
