package merge

import (
	"encoding/binary"
	"math/bits"

	"pcap-replay/stream"
)

// Shard says whether a packet is in share index of count, counted from 0. All
// packets of a flow, in both directions, are in the same share, and every packet
// is in exactly one, on whatever machine it is asked for.
func Shard(packet *stream.Packet, index, count uint32) bool { return ShardOf(packet, count) == index }

// ShardOf is which share of count a packet is in.
func ShardOf(packet *stream.Packet, count uint32) uint32 {
	share, _ := bits.Mul64(flowHash(packet), uint64(count))
	return uint32(share)
}

// The protocols between a frame and its ports.
const (
	etherTypeIPv4  = 0x0800
	etherTypeIPv6  = 0x86dd
	etherTypeVLAN  = 0x8100 // IEEE 802.1Q
	etherTypeQinQ  = 0x88a8 // IEEE 802.1ad
	etherTypeQinQ1 = 0x9100 // before it was standardized
	protocolTCP    = 6
	protocolUDP    = 17
	protocolDCCP   = 33
	protocolSCTP   = 132
	protocolLite   = 136 // UDP-Lite
)

// flowHash is the same for both directions of a flow: addresses, protocol and
// ports. VLAN tags are stepped over. Fragments have no ports but in the first, so
// those of a datagram are told by addresses and protocol alone: they stay
// together, if not with the rest of their flow. What is not IP is told by its pair
// of MAC addresses, or, where there are none, not at all.
func flowHash(packet *stream.Packet) uint64 {
	network, etherType := networkHeader(packet)
	switch {
	case etherType == etherTypeIPv4 && len(network) >= 20 && network[0]>>4 == 4:
		return hashIPv4(network)
	case etherType == etherTypeIPv6 && len(network) >= 40 && network[0]>>4 == 6:
		return hashIPv6(network)
	case packet.LinkType == stream.LinkTypeEthernet && len(packet.Data) >= 12:
		return hashPair(packet.Data[:6], packet.Data[6:12], nil, 0)
	}
	return hashPair(nil, nil, nil, 0)
}

// networkHeader steps over the link layer. An etherType of 0 says that there is no
// IP behind it.
func networkHeader(packet *stream.Packet) (header []byte, etherType uint16) {
	data := packet.Data
	skip := func(length, typeAt int) ([]byte, uint16) {
		if len(data) < length {
			return nil, 0
		}
		return data[length:], binary.BigEndian.Uint16(data[typeAt:])
	}
	switch packet.LinkType {
	case stream.LinkTypeEthernet:
		header, etherType = skip(14, 12)
	case stream.LinkTypeLinuxSLL:
		header, etherType = skip(16, 14)
	case stream.LinkTypeLinuxSLL2:
		header, etherType = skip(20, 0)
	case stream.LinkTypeRaw, stream.LinkTypeIPv4, stream.LinkTypeIPv6:
		return data, versionType(data)
	case stream.LinkTypeNull, stream.LinkTypeLoop: // the family differs between systems, the version does not
		if len(data) < 4 {
			return nil, 0
		}
		return data[4:], versionType(data[4:])
	case stream.LinkTypePPP:
		if len(data) >= 2 && data[0] == 0xff && data[1] == 0x03 { // address and control
			data = data[2:]
		}
		if len(data) < 2 {
			return nil, 0
		}
		return data[2:], versionType(data[2:])
	}
	for etherType == etherTypeVLAN || etherType == etherTypeQinQ || etherType == etherTypeQinQ1 {
		if len(header) < 4 {
			return nil, 0
		}
		header, etherType = header[4:], binary.BigEndian.Uint16(header[2:])
	}
	return header, etherType
}

func versionType(network []byte) uint16 {
	if len(network) > 0 {
		switch network[0] >> 4 {
		case 4:
			return etherTypeIPv4
		case 6:
			return etherTypeIPv6
		}
	}
	return 0
}

func hashIPv4(header []byte) uint64 {
	const moreFragmentsAndOffset = 0x3fff
	protocol := header[9]
	var ports []byte
	if binary.BigEndian.Uint16(header[6:])&moreFragmentsAndOffset == 0 {
		if length := int(header[0]&0x0f) * 4; length >= 20 && length <= len(header) {
			ports = header[length:]
		}
	}
	return hashPair(header[12:16], header[16:20], portsOf(protocol, ports), protocol)
}

// hashIPv6 walks through the extension headers of RFC 8200 to the ports.
func hashIPv6(header []byte) uint64 {
	const hopByHop, routing, fragment, authentication, destination = 0, 43, 44, 51, 60
	source, target := header[8:24], header[24:40]
	protocol, rest := header[6], header[40:]
	for len(rest) >= 8 {
		length := 8
		switch protocol {
		case hopByHop, routing, destination:
			length = 8 * (int(rest[1]) + 1)
		case authentication:
			length = 4 * (int(rest[1]) + 2)
		case fragment:
			const offsetAndMore = 0xfff9
			if binary.BigEndian.Uint16(rest[2:])&offsetAndMore != 0 {
				return hashPair(source, target, nil, rest[0])
			}
		default:
			return hashPair(source, target, portsOf(protocol, rest), protocol)
		}
		if length > len(rest) {
			break
		}
		protocol, rest = rest[0], rest[length:]
	}
	return hashPair(source, target, portsOf(protocol, rest), protocol)
}

// portsOf gives source and target port of the protocols that have them.
func portsOf(protocol byte, transport []byte) []byte {
	switch protocol {
	case protocolTCP, protocolUDP, protocolDCCP, protocolSCTP, protocolLite:
		if len(transport) >= 4 {
			return transport[:4]
		}
	}
	return nil
}

// hashPair hashes two ends of a flow, whichever comes first.
func hashPair(a, b, ports []byte, protocol byte) uint64 {
	endA, endB := hashEnd(a), hashEnd(b)
	if len(ports) == 4 {
		endA = mix(endA ^ uint64(binary.BigEndian.Uint16(ports)))
		endB = mix(endB ^ uint64(binary.BigEndian.Uint16(ports[2:])))
	}
	return mix(endA + endB + uint64(protocol))
}

func hashEnd(address []byte) (hash uint64) {
	for ; len(address) >= 8; address = address[8:] {
		hash = mix(hash ^ binary.BigEndian.Uint64(address))
	}
	for _, b := range address {
		hash = hash<<8 | uint64(b)
	}
	return mix(hash)
}

// mix is the finalizer of MurmurHash3: every bit of the result depends on every
// bit of x.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
