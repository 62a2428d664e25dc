package rewrite

import (
	"encoding/binary"
	"hash/crc32"

	"pcap-replay/internal/frame"
)

// Protocol Numbers of IANA.
const (
	protocolOSPF = 89
	protocolPIM  = 103
	protocolVRRP = 112
)

// checksumOf returns where the checksum of a transport header is, and whether it covers the
// addresses. It returns 0 if there is no checksum that the rules change.
func checksumOf(p *packet) (at int, coversAddresses bool) {
	switch p.protocol {
	case frame.ProtocolTCP:
		return 16, true
	case frame.ProtocolUDP, frame.ProtocolUDPLite, frame.ProtocolDCCP: // RFC 768, RFC 3828, RFC 4340
		return 6, true
	case frame.ProtocolICMP: // RFC 792
		return 2, false
	case frame.ProtocolICMPv6: // RFC 4443
		return 2, true
	case protocolVRRP: // from version 3 on: RFC 9568, 5.2.8
		return 6, len(p.payload) > 0 && p.payload[0]>>4 >= 3
	case protocolPIM: // RFC 7761, 4.9
		return 2, p.isIPv6
	case protocolOSPF: // RFC 5340, A.3.1
		return 12, p.isIPv6
	}
	return 0, false
}

// rewriteTransport changes what follows the IP headers, and returns the difference of its
// words.
func (r *Rewriter) rewriteTransport(p *packet) (difference uint64) {
	switch p.protocol {
	case frame.ProtocolTCP, frame.ProtocolUDP:
		difference = r.rewritePorts(p)
	case frame.ProtocolICMP:
		difference = r.rewriteICMP(p)
	case frame.ProtocolICMPv6:
		difference = r.rewriteICMPv6(p)
	case frame.ProtocolSCTP:
		return r.rewriteSCTP(p)
	}
	at, coversAddresses := checksumOf(p)
	covered := difference
	if coversAddresses {
		covered += p.pseudo
	}
	if at == 0 || covered == 0 {
		return difference
	}
	if len(p.payload) < at+2 {
		if p.quote == quotedAndCut { // the checksum of the ICMP error covers this one
			r.miss(Cut)
		}
		return difference
	}
	if p.protocol == frame.ProtocolUDP || p.protocol == frame.ProtocolUDPLite {
		return difference + updateUDP(p.payload[at:], covered)
	}
	return difference + updateChecksum(p.payload[at:], covered)
}

// updateChecksum updates a checksum and returns its own difference.
func updateChecksum(field []byte, difference uint64) uint64 {
	if difference == 0 {
		return 0
	}
	before := binary.BigEndian.Uint16(field)
	after := frame.UpdateChecksum(before, difference)
	binary.BigEndian.PutUint16(field, after)
	return frame.Difference(before, after)
}

// updateUDP leaves 0, which says that there is no checksum. A checksum that becomes 0 is sent
// as its equivalent: RFC 768.
func updateUDP(field []byte, difference uint64) uint64 {
	before := binary.BigEndian.Uint16(field)
	if before == 0 {
		return 0
	}
	after := frame.UpdateChecksum(before, difference)
	if after == 0 {
		after = 0xffff
	}
	binary.BigEndian.PutUint16(field, after)
	return frame.Difference(before, after)
}

// rewritePorts changes the ports at the beginning of a transport header.
func (r *Rewriter) rewritePorts(p *packet) (difference uint64) {
	return r.setPorts(p, r.flipPorts(p))
}

// flipPorts returns the bits of both ports that change.
func (r *Rewriter) flipPorts(p *packet) uint32 {
	if r.ports.isEmpty() {
		return 0
	}
	if len(p.payload) < 4 {
		r.missPorts(Cut, p.quote)
		return 0
	}
	source, destination := binary.BigEndian.Uint16(p.payload), binary.BigEndian.Uint16(p.payload[2:])
	return uint32(r.flipPort(source))<<16 | uint32(r.flipPort(destination))
}

func (r *Rewriter) flipPort(port uint16) uint16 {
	return uint16(r.ports.flip(number{low: uint64(port)}).low)
}

// setPorts changes these bits of both ports.
func (r *Rewriter) setPorts(p *packet, flip uint32) (difference uint64) {
	if flip == 0 {
		return 0
	}
	before := binary.BigEndian.Uint32(p.payload)
	binary.BigEndian.PutUint32(p.payload, before^flip)
	r.changed = true
	return frame.Difference(before, before^flip)
}

// The header of SCTP has a CRC32c of the whole packet, without the addresses: RFC 9260.
const (
	sctpLength   = 12
	sctpChecksum = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rewriteSCTP changes ports. A CRC is linear: that of the bits that change is added. For
// that, the length of the whole packet must be known, but not its content.
func (r *Rewriter) rewriteSCTP(p *packet) (difference uint64) {
	flip := r.flipPorts(p)
	if flip == 0 {
		return 0
	}
	whole := p.whole
	if whole == 0 {
		whole = len(p.payload)
	}
	hasChecksum := len(p.payload) >= sctpLength
	if p.isFirst && hasChecksum {
		r.miss(Fragment)
		return 0
	}
	difference = r.setPorts(p, flip)
	if hasChecksum {
		before := binary.LittleEndian.Uint32(p.payload[sctpChecksum:])
		words := binary.BigEndian.Uint32(p.payload[sctpChecksum:])
		binary.LittleEndian.PutUint32(p.payload[sctpChecksum:], before^crcOf(flip, whole))
		difference += frame.Difference(words, binary.BigEndian.Uint32(p.payload[sctpChecksum:]))
	}
	return difference
}

var zeros [4096]byte

// crcOf returns how the CRC32c of a packet changes when bits of its first four bytes flip.
func crcOf(flip uint32, length int) uint32 {
	var first [4]byte
	binary.BigEndian.PutUint32(first[:], flip)
	crc := crc32.Update(0xffffffff, castagnoli, first[:]) // the register is inverted, so it begins with 0
	for left := length - len(first); left > 0; left -= len(zeros) {
		crc = crc32.Update(crc, castagnoli, zeros[:min(left, len(zeros))])
	}
	return ^crc
}
