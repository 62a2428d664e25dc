package wire

import (
	"net/netip"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// Tunnel is where frames go in UDP datagrams.
type Tunnel struct {
	// Name is how messages call it.
	Name   string
	Remote netip.AddrPort
	// Header comes before each frame.
	Header []byte
	// ZeroChecksum means that the UDP checksum over IPv4 is zero. Over IPv6 there is always
	// one: RFC 8200, section 8.1.
	ZeroChecksum bool
	// Unreachable is called with the first ICMP error that answers a frame, by any
	// goroutine. Sending continues.
	Unreachable func(error)
}

// maxIPv4 is the maximum length of an IPv4 packet, and of the payload of an IPv6 packet.
const maxIPv4 = 65535

// overhead is the number of bytes before a frame, from the IP header on.
func (t *Tunnel) overhead() int {
	if t.Remote.Addr().Is4() {
		return frame.MinIPv4Length + frame.UDPLength + len(t.Header)
	}
	return frame.IPv6Length + frame.UDPLength + len(t.Header)
}

// maxFrame is the maximum length of a frame in bytes on a route with an MTU.
func (t *Tunnel) maxFrame(mtu int) int {
	longest := maxIPv4
	if !t.Remote.Addr().Is4() {
		longest += frame.IPv6Length
	}
	return min(mtu, longest) - t.overhead()
}

// RouteMTU is the MTU that a route needs for a frame of a length.
func (t *Tunnel) RouteMTU(frame int) int { return frame + t.overhead() }

// Source ports are in the range of RFC 7348, section 5: the dynamic ports of IANA. A tunnel
// has sourcePorts of them for all its senders together, so that equal-cost routes and
// receive queues spread the flows. Each has a part of the range of its own, from which it
// takes the first free port, so that the ports of a flow are the same in most runs.
const (
	firstPort, lastPort = 49152, 65535
	sourcePorts         = 64
	portsToTry          = (lastPort - firstPort + 1) / sourcePorts
)

// flowPorts chooses the source port for a packet: all packets between two addresses, in
// both directions and with all fragments, have the same one.
type flowPorts struct {
	// total counts the ports of all senders. It is a multiple of the number of senders, so
	// that the packets of one sender have count ports in a row.
	total, count uint32
}

func portsOf(senders int) flowPorts {
	count := max(sourcePorts/senders, 1)
	return flowPorts{total: uint32(senders * count), count: uint32(count)}
}

// of returns the number of the port among those of the sender.
func (p flowPorts) of(packet *stream.Packet) int {
	return int(frame.ShardOf(packet, p.total) % p.count)
}
