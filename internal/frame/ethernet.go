package frame

import (
	"encoding/binary"
	"errors"
	"fmt"

	"pcap-replay/internal/plural"
	"pcap-replay/stream"
)

// ErrTooShort means that a frame is shorter than its link-layer header.
var ErrTooShort = errors.New("frame is shorter than a link-layer header")

// ErrNoEthernet means that a frame of another link type cannot become an Ethernet frame.
var ErrNoEthernet = errors.New("has no Ethernet counterpart")

// Addresses for frames whose link type has none. They are locally administered.
var (
	noSource      = [6]byte{0x02, 0, 0, 0, 0, 0x01}
	noDestination = [6]byte{0x02, 0, 0, 0, 0, 0x02}
	broadcast     = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

// BecomesEthernet reports whether frames of a link type can become Ethernet frames.
func BecomesEthernet(link stream.LinkType) bool {
	switch link {
	case stream.LinkTypeEthernet, stream.LinkTypeRaw, stream.LinkTypeIPv4, stream.LinkTypeIPv6,
		stream.LinkTypeNull, stream.LinkTypeLoop, stream.LinkTypeLinuxSLL, stream.LinkTypeLinuxSLL2:
		return true
	}
	return false
}

// AppendEthernet appends the packet as an Ethernet frame to dst. It makes up what the link
// type does not have: the source address, and the destination address of unicast packets.
func AppendEthernet(dst []byte, packet *stream.Packet) ([]byte, error) {
	data := packet.Data
	switch packet.LinkType {
	case stream.LinkTypeEthernet:
		return append(dst, data...), nil
	case stream.LinkTypeRaw, stream.LinkTypeIPv4, stream.LinkTypeIPv6:
		return appendIP(dst, data, packet.LinkType)
	case stream.LinkTypeNull, stream.LinkTypeLoop: // four bytes with the address family, then RAW
		if len(data) < 4 {
			return dst, tooShort(packet)
		}
		return appendIP(dst, data[4:], packet.LinkType)
	case stream.LinkTypeLinuxSLL:
		return appendCooked(dst, packet, &cookedV1)
	case stream.LinkTypeLinuxSLL2:
		return appendCooked(dst, packet, &cookedV2)
	}
	return dst, fmt.Errorf("link type %s %w", packet.LinkType, ErrNoEthernet)
}

func tooShort(packet *stream.Packet) error {
	return fmt.Errorf("frame of %s of link type %s: %w", plural.Of(len(packet.Data), "byte"), packet.LinkType, ErrTooShort)
}

func appendIP(dst, data []byte, link stream.LinkType) ([]byte, error) {
	switch {
	case len(data) >= 20 && data[0]>>4 == 4:
		return appendFrame(dst, destinationOf(EtherTypeIPv4, data), noSource, EtherTypeIPv4, data), nil
	case len(data) >= 40 && data[0]>>4 == 6:
		return appendFrame(dst, destinationOf(EtherTypeIPv6, data), noSource, EtherTypeIPv6, data), nil
	}
	return dst, fmt.Errorf("frame of link type %s that is neither IPv4 nor IPv6 %w", link, ErrNoEthernet)
}

func appendFrame(dst []byte, destination, source [6]byte, etherType uint16, data []byte) []byte {
	dst = append(dst, destination[:]...)
	dst = append(dst, source[:]...)
	dst = binary.BigEndian.AppendUint16(dst, etherType)
	return append(dst, data...)
}

// destinationOf returns the destination address of a packet: multicast by RFC 1112 and RFC
// 2464, broadcast, or a fixed unicast address.
func destinationOf(etherType uint16, data []byte) [6]byte {
	switch {
	case etherType == EtherTypeIPv4 && len(data) >= 20:
		to := data[16:20]
		if to[0]&0xf0 == 0xe0 {
			return [6]byte{0x01, 0x00, 0x5e, to[1] & 0x7f, to[2], to[3]}
		}
		if binary.BigEndian.Uint32(to) == 0xffffffff {
			return broadcast
		}
	case etherType == EtherTypeIPv6 && len(data) >= 40 && data[24] == 0xff:
		return [6]byte{0x33, 0x33, data[36], data[37], data[38], data[39]}
	}
	return noDestination
}

// cooked has the offsets of the fields of a Linux cooked header: LINKTYPE_LINUX_SLL and
// LINKTYPE_LINUX_SLL2.
type cooked struct {
	length, packetType, addressLength, address, protocol int
	wide                                                 bool // the first two fields have two bytes
}

var (
	cookedV1 = cooked{length: 16, packetType: 0, addressLength: 4, address: 6, protocol: 14, wide: true}
	cookedV2 = cooked{length: 20, packetType: 10, addressLength: 11, address: 12, protocol: 0}
)

const (
	cookedBroadcast = 1      // packet type
	cookedLLC       = 0x0004 // protocol: 802.2
)

// number reads one of the first two fields.
func (c *cooked) number(header []byte, at int) int {
	if c.wide {
		return int(binary.BigEndian.Uint16(header[at:]))
	}
	return int(header[at])
}

// source returns the MAC address of the sender, or nil if its address is of another kind.
func (c *cooked) source(header []byte) []byte {
	if len(header) < c.length || c.number(header, c.addressLength) != MACLength {
		return nil
	}
	return header[c.address:][:MACLength]
}

// MACAddresses returns where a frame has its MAC addresses: both in an Ethernet header, only
// that of the source in a cooked header. What is not there is nil.
func MACAddresses(packet *stream.Packet) (destination, source []byte) {
	switch data := packet.Data; packet.LinkType {
	case stream.LinkTypeEthernet:
		if len(data) >= 2*MACLength {
			return data[:MACLength], data[MACLength:][:MACLength]
		}
	case stream.LinkTypeLinuxSLL:
		return nil, cookedV1.source(data)
	case stream.LinkTypeLinuxSLL2:
		return nil, cookedV2.source(data)
	}
	return nil, nil
}

func appendCooked(dst []byte, packet *stream.Packet, layout *cooked) ([]byte, error) {
	data := packet.Data
	if len(data) < layout.length {
		return dst, tooShort(packet)
	}
	header, payload := data[:layout.length], data[layout.length:]
	packetType := layout.number(header, layout.packetType)
	protocol := binary.BigEndian.Uint16(header[layout.protocol:])
	switch {
	case protocol >= minEtherType:
	case protocol == cookedLLC && len(payload) <= MaxEtherLength:
		protocol = uint16(len(payload))
	default:
		return dst, fmt.Errorf("frame of link type %s and protocol %#04x %w", packet.LinkType, protocol, ErrNoEthernet)
	}
	source, destination := noSource, destinationOf(protocol, payload)
	copy(source[:], layout.source(header))
	if packetType == cookedBroadcast {
		destination = broadcast
	}
	return appendFrame(dst, destination, source, protocol, payload), nil
}
