package frame

import (
	"encoding/binary"
	"math/bits"

	"pcap-replay/stream"
)

// Shard reports whether a packet is in share index of count, where index counts from 0. All
// packets between two IP addresses, in both directions, are in the same share, so no flow
// is split, even if its packets are fragmented. Every packet is in exactly one share, and
// all machines agree on it.
func Shard(packet *stream.Packet, index, count uint32) bool { return ShardOf(packet, count) == index }

// ShardOf returns the share of count that holds a packet.
func ShardOf(packet *stream.Packet, count uint32) uint32 {
	share, _ := bits.Mul64(pairHash(packet), uint64(count))
	return uint32(share)
}

// pairHash is equal for all packets between two IP addresses, in both directions. Ports do
// not count, because only the first fragment of a datagram has them, and it may arrive
// last. VLAN tags, MPLS labels and PPPoE headers are skipped. For a tunnel, the outer
// addresses count. For packets that are not IP, the pair of MAC addresses counts. Packets
// without MAC addresses have the same hash.
func pairHash(packet *stream.Packet) uint64 {
	network, etherType := NetworkHeader(packet)
	switch {
	case etherType == EtherTypeIPv4 && len(network) >= 20 && network[0]>>4 == 4:
		return hashPair(network[12:16], network[16:20])
	case etherType == EtherTypeIPv6 && len(network) >= 40 && network[0]>>4 == 6:
		return hashPair(network[8:24], network[24:40])
	case packet.LinkType == stream.LinkTypeEthernet && len(packet.Data) >= 12:
		return hashPair(packet.Data[:6], packet.Data[6:12])
	}
	return hashPair(nil, nil)
}

// NetworkHeader returns what follows the link header, VLAN tags, MPLS labels and a PPPoE
// header, and its EtherType. The slice points into the packet and may have padding at its
// end. An etherType of 0 means that it is not known, or that the packet is too short.
func NetworkHeader(packet *stream.Packet) (header []byte, etherType uint16) {
	header, etherType = skipVLANTags(afterLinkHeader(packet))
	switch etherType {
	case EtherTypeMPLS, EtherTypeMPLSUpstream:
		header = skipLabels(header)
		return header, labelledType(header, len(header)+max(int(packet.WireLength)-len(packet.Data), 0))
	case EtherTypePPPoE:
		return skipPPPoE(header)
	}
	return header, etherType
}

// HasNetworkHeader reports whether [NetworkHeader] knows the link type.
func HasNetworkHeader(link stream.LinkType) bool {
	return BecomesEthernet(link) || link == stream.LinkTypePPP
}

// LinkHeader returns the length of the link header and where its EtherType is, of link types
// that have one and may have VLAN tags. The length of others is 0.
func LinkHeader(link stream.LinkType) (length, typeAt int) {
	switch link {
	case stream.LinkTypeEthernet:
		return EthernetLength, EthernetLength - 2
	case stream.LinkTypeLinuxSLL:
		return cookedV1.length, cookedV1.protocol
	case stream.LinkTypeLinuxSLL2:
		return cookedV2.length, cookedV2.protocol
	}
	return 0, 0
}

// afterLinkHeader gives what follows the link header, and its EtherType. A VLAN tag is not
// part of the link header. An etherType of 0 says that the link type has no EtherType or is
// not known, or that the frame is too short.
func afterLinkHeader(packet *stream.Packet) (rest []byte, etherType uint16) {
	data := packet.Data
	switch packet.LinkType {
	case stream.LinkTypeEthernet, stream.LinkTypeLinuxSLL, stream.LinkTypeLinuxSLL2:
		length, typeAt := LinkHeader(packet.LinkType)
		if len(data) < length {
			return nil, 0
		}
		return data[length:], binary.BigEndian.Uint16(data[typeAt:])
	case stream.LinkTypeRaw, stream.LinkTypeIPv4, stream.LinkTypeIPv6:
		return data, versionType(data)
	case stream.LinkTypeNull, stream.LinkTypeLoop: // the address family differs between systems, the IP version does not
		if len(data) < 4 {
			return nil, 0
		}
		return data[4:], versionType(data[4:])
	case stream.LinkTypePPP:
		if len(data) >= 2 && data[0] == 0xff && data[1] == 0x03 { // address and control: RFC 1662, section 3.1
			data = data[2:]
		}
		if len(data) < 2 {
			return nil, 0
		}
		return data[2:], versionType(data[2:])
	}
	return nil, 0
}

// skipLabels skips MPLS labels of 4 bytes. The last one is marked.
func skipLabels(header []byte) []byte {
	for len(header) >= 4 {
		isLast := header[2]&1 != 0
		if header = header[4:]; isLast {
			return header
		}
	}
	return nil
}

// skipPPPoE skips a PPPoE header of 6 bytes and the PPP protocol.
func skipPPPoE(header []byte) ([]byte, uint16) {
	const length, pppIPv4, pppIPv6 = 8, 0x0021, 0x0057 // RFC 2516, section 4; PPP Numbers of IANA
	if len(header) < length {
		return nil, 0
	}
	switch binary.BigEndian.Uint16(header[6:]) {
	case pppIPv4:
		return header[length:], EtherTypeIPv4
	case pppIPv6:
		return header[length:], EtherTypeIPv6
	}
	return nil, 0
}

// labelledType returns the EtherType of what follows MPLS labels. No field contains it. The first
// four bits are the IP version, but an Ethernet frame may begin with the same bits (RFC 4928,
// section 3). So the length in an IP header must be that of the packet on the wire, except for
// padding.
func labelledType(network []byte, whole int) uint16 {
	etherType, length := versionType(network), whole
	switch {
	case etherType == EtherTypeIPv4 && len(network) >= 4:
		length = int(binary.BigEndian.Uint16(network[2:]))
	case etherType == EtherTypeIPv6 && len(network) >= 6:
		length = IPv6Length + int(binary.BigEndian.Uint16(network[4:]))
	}
	if length > whole || length < max(whole-minPayload, MinIPv4Length) {
		return 0
	}
	return etherType
}

func versionType(network []byte) uint16 {
	if len(network) > 0 {
		switch network[0] >> 4 {
		case 4:
			return EtherTypeIPv4
		case 6:
			return EtherTypeIPv6
		}
	}
	return 0
}

// hashPair hashes two addresses, independent of their order.
func hashPair(a, b []byte) uint64 { return Mix(hashAddress(a) + hashAddress(b)) }

func hashAddress(address []byte) (hash uint64) {
	for ; len(address) >= 8; address = address[8:] {
		hash = Mix(hash ^ binary.BigEndian.Uint64(address))
	}
	for _, b := range address {
		hash = hash<<8 | uint64(b)
	}
	return Mix(hash)
}

// Mix is the finalizer of MurmurHash3: each bit of the result depends on each bit of x.
func Mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
