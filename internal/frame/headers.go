// Package frame handles the contents of frames: link headers, EtherTypes, VLAN tags, IP
// headers and checksums. It converts frames to Ethernet, cuts TCP superframes into
// segments, and makes packets fit an interface: see [Fitter].
package frame

import (
	"encoding/binary"
	"pcap-replay/stream"
)

// Lengths of headers in bytes.
const (
	EthernetLength = 14
	VLANTagLength  = 4  // IEEE 802.1Q
	minTCP         = 20 // RFC 9293
)

// EtherTypes: IEEE 802 Numbers of IANA.
const (
	EtherTypeIPv4         = 0x0800
	EtherTypeARP          = 0x0806 // RFC 826
	EtherTypeRARP         = 0x8035 // RFC 903
	EtherTypeIPv6         = 0x86dd
	EtherTypeVLAN         = 0x8100 // IEEE 802.1Q
	etherTypeQinQ         = 0x88a8 // IEEE 802.1ad
	etherTypeQinQ1        = 0x9100 // before that was standardized
	EtherTypeMPLS         = 0x8847 // RFC 3032
	EtherTypeMPLSUpstream = 0x8848 // with a label assigned upstream: RFC 5332
	EtherTypePPPoE        = 0x8864 // session: RFC 2516
	// Values up to MaxEtherLength are the length of an 802.3 frame, and values from
	// minEtherType on are types: IEEE 802.3, 3.2.6.
	MaxEtherLength = 1500
	minEtherType   = 0x0600
)

// Bits of the flags and fragment offset of an IPv4 header: RFC 791.
const (
	moreFragment = 0x2000
	fragmentMask = 0x1fff
)

// IsVLANTag reports whether an EtherType is a VLAN tag: 802.1Q, 802.1ad or its predecessor.
func IsVLANTag(etherType uint16) bool {
	return etherType == EtherTypeVLAN || etherType == etherTypeQinQ || etherType == etherTypeQinQ1
}

// HasVLANTag reports whether the link header of a packet is followed by a VLAN tag.
func HasVLANTag(packet *stream.Packet) bool {
	_, etherType := afterLinkHeader(packet)
	return IsVLANTag(etherType)
}

// skipVLANTags skips the VLAN tags before a network header. An EtherType of 0 means that
// there is none.
func skipVLANTags(header []byte, etherType uint16) ([]byte, uint16) {
	for IsVLANTag(etherType) {
		if len(header) < VLANTagLength {
			return nil, 0
		}
		header, etherType = header[VLANTagLength:], binary.BigEndian.Uint16(header[2:])
	}
	return header, etherType
}

// networkOffset returns the offset of the network header of an Ethernet frame.
func networkOffset(data []byte) (offset int, etherType uint16) {
	if len(data) < EthernetLength {
		return len(data), 0
	}
	header, etherType := skipVLANTags(data[EthernetLength:], binary.BigEndian.Uint16(data[EthernetLength-2:]))
	return len(data) - len(header), etherType
}

// MaxLength is the maximum length of an Ethernet frame that begins with data, on an
// interface with the given MTU. Only an outer 802.1Q tag is allowed in addition to the MTU:
// packet_extra_vlan_len_allowed in net/packet/af_packet.c of Linux.
func MaxLength(frame []byte, mtu int) int {
	if len(frame) >= EthernetLength && binary.BigEndian.Uint16(frame[12:]) == EtherTypeVLAN {
		return mtu + EthernetLength + VLANTagLength
	}
	return mtu + EthernetLength
}

// sumWords adds the 16-bit words of data to total: RFC 1071.
func sumWords(total uint64, data []byte) uint64 {
	for ; len(data) >= 4; data = data[4:] {
		total += uint64(binary.BigEndian.Uint32(data))
	}
	for ; len(data) >= 2; data = data[2:] {
		total += uint64(binary.BigEndian.Uint16(data))
	}
	if len(data) == 1 {
		total += uint64(data[0]) << 8
	}
	return total
}

// UpdateChecksum returns an Internet checksum after words that it covers have changed. The
// difference is the sum of [Difference] of these words. A wrong checksum stays wrong by the
// same amount: equation 3 of RFC 1624.
func UpdateChecksum(checksum uint16, difference uint64) uint16 {
	return ^foldSum(uint64(^checksum) + difference)
}

// Difference is what the change of a word of 32 or 16 bits adds to the sum of a checksum. It
// is 0 only if the word has not changed.
func Difference[Word uint16 | uint32](before, after Word) uint64 {
	if before == after {
		return 0
	}
	return uint64(^before) + uint64(after)
}

func foldSum(total uint64) uint16 {
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}
