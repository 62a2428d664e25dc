package tunnel

import (
	"encoding/binary"

	"pcap-replay/internal/frame"
)

// leaveIPv4 skips an IPv4 header, and the header of the tunnel in it.
func (w *walk) leaveIPv4(kinds kindSet) (Kind, reason) {
	if !w.has(w.at, frame.MinIPv4Length) {
		return noKind, noReason
	}
	header := w.data[w.at:]
	length := int32(header[0]&0x0f) * ipv4HeaderUnit
	if header[0]>>4 != 4 || length < frame.MinIPv4Length {
		return noKind, noReason
	}
	// A total length of 0 is that of a superframe that the NIC was to cut.
	if total := int32(binary.BigEndian.Uint16(header[2:])); total >= length {
		w.limit(w.at + total)
	}
	fragment := binary.BigEndian.Uint16(header[6:])
	isFragment, isLater := fragment&(moreFragments|fragmentOffset) != 0, fragment&fragmentOffset != 0
	protocol, offset := header[9], w.at+length
	if protocol == frame.ProtocolAuthentication && !isLater && w.has(offset, 0) {
		behind, isWhole := frame.PassAuthentication(protocol, w.data[offset:w.end])
		if !isWhole {
			return noKind, noReason
		}
		protocol, offset = behind.Protocol, w.end-int32(len(behind.Rest))
	}
	return w.leave(kinds, protocol, offset, isFragment, isLater)
}

// leaveIPv6 skips an IPv6 header with its extension headers, and the header of the
// tunnel in it.
func (w *walk) leaveIPv6(kinds kindSet) (Kind, reason) {
	if !w.has(w.at, frame.IPv6Length) {
		return noKind, noReason
	}
	header := w.data[w.at:]
	if header[0]>>4 != 6 {
		return noKind, noReason
	}
	if length := int32(binary.BigEndian.Uint16(header[4:])); length > 0 { // 0: a jumbogram, RFC 2675
		w.limit(w.at + frame.IPv6Length + length)
	}
	extensions := frame.Extensions{Protocol: header[6], Rest: w.data[w.at+frame.IPv6Length : w.end]}
	for extensions.Next() {
	}
	if extensions.IsCut {
		return noKind, noReason
	}
	return w.leave(kinds, extensions.Protocol, w.end-int32(len(extensions.Rest)), extensions.IsFragment, extensions.IsLater)
}

// leave skips the header of the tunnel in an IP packet: what is at an offset, with an IP
// protocol. A fragment holds only a part of the packet inside, so it stays as it is.
func (w *walk) leave(kinds kindSet, protocol uint8, offset int32, isFragment, isLater bool) (Kind, reason) {
	const inGRE, inUDP = 1<<GRE | 1<<TEB | 1<<ERSPAN, 1<<VXLAN | 1<<GENEVE | 1<<GTPU | 1<<MPLS
	var listed kindSet
	switch protocol {
	case frame.ProtocolIPv4, frame.ProtocolIPv6:
		listed = kinds & (1 << IPIP)
	case frame.ProtocolGRE:
		listed = kinds & inGRE
	case frame.ProtocolUDP:
		listed = kinds & inUDP
	}
	switch {
	case listed == 0:
		return noKind, noReason
	case protocol == frame.ProtocolUDP:
		// Only the first fragment has the ports, so a later one may be of anything.
		if isLater {
			return noKind, noReason
		}
		return w.enterUDP(kinds, offset, isFragment)
	case isFragment:
		return noKind, outerFragment
	case protocol == frame.ProtocolGRE:
		return w.enterGRE(kinds, offset)
	case protocol == frame.ProtocolIPv4:
		return IPIP, w.enterNetwork(offset, frame.EtherTypeIPv4)
	}
	return IPIP, w.enterNetwork(offset, frame.EtherTypeIPv6)
}

// enterGRE continues with what is in GRE: RFC 2784 and RFC 2890. The kind is noKind if it is not
// to be removed.
func (w *walk) enterGRE(kinds kindSet, offset int32) (Kind, reason) {
	if !w.has(offset, greLength) {
		return noKind, w.lacks(offset, greLength)
	}
	flags := binary.BigEndian.Uint16(w.data[offset:])
	etherType := binary.BigEndian.Uint16(w.data[offset+2:])
	kind := GRE
	switch etherType {
	case etherTypeTEB:
		kind = TEB
	case etherTypeERSPAN, etherTypeERSPANIII:
		kind = ERSPAN
	}
	if !kinds.has(kind) {
		return noKind, noReason
	}
	if flags&(greRouting|greVersion) != 0 { // version 1 is PPTP: RFC 2637
		return kind, invalidHeader
	}
	at := offset + greLength
	for _, field := range [...]uint16{greChecksum, greKey, greSequence} {
		if flags&field != 0 {
			at += greFieldLength
		}
	}
	switch kind {
	case TEB:
		return kind, w.enterFrame(at)
	case ERSPAN:
		return kind, w.enterERSPAN(at, etherType == etherTypeERSPANIII || flags&greSequence != 0)
	}
	return kind, w.enterNetwork(at, etherType)
}

// enterERSPAN continues with what is in ERSPAN: draft-foschiano-erspan-03, section 4. Type I has
// no header. It has the same EtherType as type II, but no sequence number in the header of GRE.
func (w *walk) enterERSPAN(offset int32, hasHeader bool) reason {
	if !hasHeader {
		return w.enterFrame(offset)
	}
	if !w.has(offset, erspanIILength) {
		return w.lacks(offset, erspanIILength)
	}
	switch w.data[offset] >> 4 {
	case 1: // type II
		return w.enterFrame(offset + erspanIILength)
	case 2: // type III
		return w.enterERSPANIII(offset)
	}
	return invalidHeader
}

func (w *walk) enterERSPANIII(offset int32) reason {
	if !w.has(offset, erspanIIILength) {
		return w.lacks(offset, erspanIIILength)
	}
	const subheader, isEthernet, isIP = 0x01, 0, 2 // bit O, and the values of the field FT
	at := offset + erspanIIILength
	if w.data[offset+11]&subheader != 0 {
		at += erspanSubheader
	}
	switch w.data[offset+10] >> 2 & 0x1f {
	case isEthernet:
		return w.enterFrame(at)
	case isIP:
		return w.enterIP(at)
	}
	return unknownPayload
}
