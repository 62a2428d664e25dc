package frame

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"pcap-replay/stream"
)

// Layers are the parts of a frame. The slices point into the frame.
type Layers struct {
	// Addresses are the two MAC addresses of an Ethernet frame, else nil.
	Addresses []byte
	// Tags are the VLAN tags, of [VLANTagLength] bytes each.
	Tags []byte
	// EtherType is that of Network. 0: the link type has none, or is not known.
	EtherType uint16
	// Network is what follows the link header and the tags: the network header and
	// its payload as far as the frame was captured, without padding and FCS.
	Network []byte
	// Offset is where Network begins in the frame.
	Offset int
	// Whole is how long Network is on the wire, in bytes. It is more than
	// len(Network) if the capture cut the frame.
	Whole int
	// Protocol is the IP protocol. It is valid if Transport is not 0.
	Protocol uint8
	// Transport is the offset in Network behind the IPv4 or fixed IPv6 header, and
	// Payload behind a TCP or UDP header as well. Both are 0 if Network is not IP or is
	// cut within these headers.
	Transport, Payload int
}

const (
	minPayload   = 46 // of an Ethernet frame, which is padded to it: IEEE 802.3, 4a.4.2.3
	fcsLength    = 4  // IEEE 802.3, 3.2.9
	minARPLength = 8  // RFC 826: the addresses follow
)

// Split takes a frame apart. MPLS, PPPoE and tunnels are payload. It allocates nothing.
func Split(packet *stream.Packet) (l Layers) {
	rest, etherType := afterLinkHeader(packet)
	if etherType == 0 {
		l.Network = packet.Data
		l.Whole = max(int(packet.WireLength), len(packet.Data))
		return l
	}
	if packet.LinkType == stream.LinkTypeEthernet {
		l.Addresses = packet.Data[:EthernetLength-2]
	}
	if l.Network, l.EtherType = skipVLANTags(rest, etherType); l.EtherType == 0 { // cut within a tag
		l.Network = rest
	}
	l.Tags = rest[:len(rest)-len(l.Network)]
	l.Offset = len(packet.Data) - len(l.Network)
	l.Whole = len(l.Network) + max(int(packet.WireLength)-len(packet.Data), 0)
	switch {
	case l.EtherType == EtherTypeIPv4 && len(l.Network) >= MinIPv4Length && l.Network[0]>>4 == 4:
		l.splitIPv4()
	case l.EtherType == EtherTypeIPv6 && len(l.Network) >= IPv6Length && l.Network[0]>>4 == 6:
		l.splitIPv6()
	case l.EtherType == EtherTypeARP && len(l.Network) >= minARPLength:
		l.limit(minARPLength + 2*(int(l.Network[4])+int(l.Network[5])))
	case l.EtherType <= MaxEtherLength:
		l.limit(int(l.EtherType))
	default:
		l.trim(packet)
	}
	return l
}

// limit shortens Network to the length that its header says, so that padding and FCS go.
func (l *Layers) limit(length int) {
	l.Whole = min(l.Whole, length)
	l.Network = l.Network[:min(len(l.Network), l.Whole)]
}

// trim removes an FCS and padding if no header has the length.
func (l *Layers) trim(packet *stream.Packet) {
	if data := packet.Data; l.Whole == len(l.Network) && len(l.Network) >= minPayload+fcsLength && packet.LinkType == stream.LinkTypeEthernet {
		end := len(data) - fcsLength
		if crc32.ChecksumIEEE(data[:end]) == binary.LittleEndian.Uint32(data[end:]) {
			l.limit(len(l.Network) - fcsLength)
		}
	}
	if l.Whole == len(l.Network) && len(l.Network) <= minPayload {
		l.limit(len(bytes.TrimRight(l.Network, "\x00")))
	}
}

func (l *Layers) splitIPv4() {
	header := int(l.Network[0]&0x0f) * 4
	// A total length of 0 is that of a superframe that the NIC was to cut.
	if total := int(binary.BigEndian.Uint16(l.Network[2:])); total >= header {
		l.limit(total)
	}
	if header < MinIPv4Length || header > len(l.Network) {
		return
	}
	l.Protocol = l.Network[9]
	isLaterFragment := binary.BigEndian.Uint16(l.Network[6:])&fragmentMask != 0
	l.splitTransport(header, isLaterFragment)
}

func (l *Layers) splitIPv6() {
	if length := int(binary.BigEndian.Uint16(l.Network[4:])); length > 0 { // 0: a jumbogram, RFC 2675
		l.limit(IPv6Length + length)
	}
	l.Protocol = l.Network[6]
	l.splitTransport(IPv6Length, false)
}

func (l *Layers) splitTransport(start int, isLaterFragment bool) {
	length, rest := 0, l.Network[start:]
	switch {
	case isLaterFragment || start == l.Whole:
	case l.Protocol == ProtocolTCP && len(rest) >= minTCP:
		length = max(int(rest[12]>>4)*4, minTCP)
	case l.Protocol == ProtocolUDP:
		length = UDPLength
	case l.Protocol == ProtocolTCP:
		length = minTCP
	}
	if start+length > len(l.Network) {
		if len(l.Network) < l.Whole {
			return // cut
		}
		length = 0 // a broken header is payload
	}
	l.Transport, l.Payload = start, start+length
}
