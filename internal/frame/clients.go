package frame

import (
	"encoding/binary"

	"pcap-replay/stream"
)

// Clients tells for each packet whether the client of its flow sent it: the side that opened
// the flow. It remembers the clients of about half a million flows in 4 MiB. It is not safe
// for concurrent use.
//
// A flow has the packets between two addresses and ports, of TCP, UDP, SCTP, UDP-Lite or
// DCCP. Its client is decided by the first rule that applies:
//
//   - The sender of a TCP SYN is the client, and so is the receiver of a SYN with ACK. These
//     decide even if the client of the flow is already known.
//   - In other TCP packets, the higher port is that of the client: the flow began before the
//     capture, so its first packet tells nothing.
//   - If only one port is below 1024, the side with the other port is the client.
//   - The sender of the first packet is the client.
//
// All other packets between two addresses, and all fragments, are one flow. It has the client
// of the first flow with ports between these addresses, or, if there was none, that of its
// first packet. So all fragments of a datagram that travel in the same direction have the
// same answer.
//
// The client sends the requests, and the other side sends the replies, of ARP and of ICMP
// echo, timestamp, information, address mask, router and neighbor discovery. An ICMP error
// belongs to the flow of the packet that it quotes, and travels against it.
//
// VLAN tags, MPLS labels and PPPoE headers are skipped. The outer addresses of a tunnel
// count. For other packets than IP and ARP, the MAC addresses count.
type Clients struct {
	groups []clientGroup
}

// clientGroup holds the clients of a few flows, the one seen last first. It fills a cache
// line. An entry is the key of a flow, and its lowest bit is set if the client is the lower
// end. 0 is an empty entry.
type clientGroup [8]uint64

// clientGroups is the number of groups, a power of two: 8 flows of 8 bytes each make 4 MiB.
const clientGroups = 1 << 16

// NewClients returns a Clients that remembers no flow.
func NewClients() *Clients { return newClients(clientGroups) }

func newClients(groups int) *Clients { return &Clients{groups: make([]clientGroup, groups)} }

// FromClient reports whether the client of the packet's flow sent it. It is not decided for
// frames that are neither IP nor ARP and have no MAC addresses.
func (c *Clients) FromClient(packet *stream.Packet) (fromClient, decided bool) {
	network, etherType := NetworkHeader(packet)
	if etherType == EtherTypeARP && len(network) >= minARPLength {
		switch binary.BigEndian.Uint16(network[6:]) { // RFC 826
		case arpRequest:
			return true, true
		case arpReply:
			return false, true
		}
	}
	if d, ok := parseDatagram(network, etherType); ok {
		return c.sentDatagram(&d), true
	}
	if packet.LinkType == stream.LinkTypeEthernet && len(packet.Data) >= 12 {
		to, from := binary.BigEndian.Uint64(packet.Data), binary.BigEndian.Uint64(packet.Data[4:])
		return c.sentPair(address(from<<16), address(to>>16<<16), true), true
	}
	return false, false
}

const (
	arpRequest = 1
	arpReply   = 2
)

// address is a number for an address. Its sum with a port is a number for both. An IPv4 or
// MAC address is shifted to make room for the port, and an IPv6 address is hashed.
type address uint64

func addressIPv4(data []byte) address { return address(binary.BigEndian.Uint32(data)) << 16 }

func addressIPv6(data []byte) address {
	return address(Mix(Mix(binary.BigEndian.Uint64(data)) ^ binary.BigEndian.Uint64(data[8:])))
}

// datagram is what an IP header says about the flow.
type datagram struct {
	from, to address
	protocol uint8
	// payload begins with the transport header. It is nil if that is not here.
	payload    []byte
	isFragment bool // the datagram has others
}

// parseDatagram reads an IP header. ok is false if there is none.
func parseDatagram(network []byte, etherType uint16) (d datagram, ok bool) {
	switch {
	case etherType == EtherTypeIPv4 && len(network) >= MinIPv4Length && network[0]>>4 == 4:
		d.from, d.to, d.protocol = addressIPv4(network[12:]), addressIPv4(network[16:]), network[9]
		fragment := binary.BigEndian.Uint16(network[6:])
		d.isFragment = fragment&(moreFragment|fragmentMask) != 0
		if header := int(network[0]&0x0f) * 4; header >= MinIPv4Length && header <= len(network) && fragment&fragmentMask == 0 {
			if behind, isWhole := PassAuthentication(d.protocol, network[header:]); isWhole {
				d.protocol, d.payload = behind.Protocol, behind.Rest
			}
		}
		return d, true
	case etherType == EtherTypeIPv6 && len(network) >= IPv6Length && network[0]>>4 == 6:
		d.from, d.to = addressIPv6(network[8:]), addressIPv6(network[24:])
		d.skipExtensions(Extensions{Protocol: network[6], Rest: network[IPv6Length:]})
		return d, true
	}
	return d, false
}

// skipExtensions goes behind the extension headers.
func (d *datagram) skipExtensions(extensions Extensions) {
	for extensions.Next() {
	}
	d.isFragment = extensions.IsFragment
	if extensions.IsCut {
		return
	}
	d.protocol = extensions.Protocol
	if !extensions.IsLater {
		d.payload = extensions.Rest
	}
}

// ports returns the ports of a datagram that has them.
func (d *datagram) ports() (from, to uint16, ok bool) {
	switch d.protocol {
	case ProtocolTCP, ProtocolUDP, ProtocolSCTP, ProtocolUDPLite, ProtocolDCCP:
		if len(d.payload) >= 4 {
			return binary.BigEndian.Uint16(d.payload), binary.BigEndian.Uint16(d.payload[2:]), true
		}
	}
	return 0, 0, false
}

// sentDatagram reports whether the client sent a datagram.
func (c *Clients) sentDatagram(d *datagram) bool {
	switch kind := d.icmpKind(); {
	case kind == icmpError && !d.isFragment:
		quotedPacket := d.payload[min(icmpLength, len(d.payload)):]
		if quoted, ok := parseDatagram(quotedPacket, versionType(quotedPacket)); ok {
			return !c.sentDatagram(&quoted)
		}
	case kind == icmpRequest || kind == icmpReply:
		if d.isFragment {
			return c.sentPair(d.from, d.to, kind == icmpRequest)
		}
		return kind == icmpRequest
	}
	fromPort, toPort, hasPorts := d.ports()
	if !hasPorts {
		return c.sentPair(d.from, d.to, true)
	}
	guess, isCertain := d.opener(fromPort, toPort)
	if d.isFragment {
		return c.sentPair(d.from, d.to, guess)
	}
	fromClient, isNew := c.sent(d.from+address(fromPort), d.to+address(toPort), d.protocol, guess, isCertain)
	if isNew {
		c.sentPair(d.from, d.to, guess)
	}
	return fromClient
}

const (
	icmpLength = 8 // RFC 792 and RFC 4443: an error quotes a packet behind it
)

// icmpKind is what an ICMP message says about who opened the exchange.
type icmpKind int

const (
	icmpOther icmpKind = iota
	icmpRequest
	icmpReply
	icmpError
)

// icmpKind tells the kind of an ICMP message by its type: ICMP Parameters and ICMPv6
// Parameters of IANA.
func (d *datagram) icmpKind() icmpKind {
	switch {
	case len(d.payload) == 0:
	case d.protocol == ProtocolICMP:
		switch d.payload[0] {
		case 8, 10, 13, 15, 17, 42:
			return icmpRequest
		case 0, 9, 14, 16, 18, 43:
			return icmpReply
		case 3, 4, 5, 11, 12:
			return icmpError
		}
	case d.protocol == ProtocolICMPv6:
		switch d.payload[0] {
		case 128, 133, 135, 160:
			return icmpRequest
		case 129, 134, 136, 161:
			return icmpReply
		case 1, 2, 3, 4:
			return icmpError
		}
	}
	return icmpOther
}

// opener guesses from a packet alone whether the client sent it.
func (d *datagram) opener(from, to uint16) (guess, isCertain bool) {
	const flagsAt, syn, ack = 13, 0x02, 0x10 // RFC 9293, section 3.1
	const systemPorts = 1024                 // RFC 6335, section 6
	isTCP := d.protocol == ProtocolTCP
	if isTCP && len(d.payload) > flagsAt && d.payload[flagsAt]&syn != 0 {
		return d.payload[flagsAt]&ack == 0, true
	}
	if from != to && isTCP || (from < systemPorts) != (to < systemPorts) {
		return from > to, false
	}
	return true, false
}

// sentPair is sent for packets that only their addresses tell apart.
func (c *Clients) sentPair(from, to address, guess bool) bool {
	fromClient, _ := c.sent(from, to, 0, guess, false)
	return fromClient
}

// sent reports whether the client of the flow between two ends sent a packet that has left
// the first one. A flow that it does not remember has the guess as its answer, and isNew is
// true. If isCertain, the guess replaces what it remembers.
func (c *Clients) sent(from, to address, protocol uint8, guess, isCertain bool) (fromClient, isNew bool) {
	const lowBit = 1
	// Equal in both directions, and never the key of an empty entry.
	key := Mix(Mix(uint64(from))+Mix(uint64(to))+uint64(protocol))&^lowBit | 2
	fromLow := uint64(0)
	if from <= to {
		fromLow = lowBit
	}
	group := &c.groups[key>>32&uint64(len(c.groups)-1)]
	at := 0
	for at < len(group) && group[at]&^lowBit != key {
		at++
	}
	if isNew = at == len(group); isNew {
		at-- // replace the flow that has not been seen for the longest time
	}
	entry := group[at]
	if isNew || isCertain {
		entry = key | fromLow
		if !guess {
			entry ^= lowBit
		}
	}
	if at > 0 {
		copy(group[1:at+1], group[:at])
	}
	group[0] = entry
	return entry&lowBit == fromLow, isNew
}
