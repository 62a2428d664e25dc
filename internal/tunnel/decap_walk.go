package tunnel

import (
	"encoding/binary"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// walk parses the headers of a packet, from the outermost to the innermost.
type walk struct {
	data []byte // the whole outer packet, as captured
	place
}

// place is how far a walk has come. All offsets are those of the outer packet.
type place struct {
	at        int32  // where the next header begins
	end       int32  // where the packet there ends, as captured
	wireEnd   int32  // and on the wire
	etherType uint16 // of the next header

	// The frame in which it is.
	linkType   stream.LinkType
	head       int32 // offset of its link header
	headLength int32
	tags       int32  // offset of the VLAN tags that stay
	tagsEnd    int32  // and where they end
	tagType    uint16 // EtherType of the first of them
}

// maxOffset keeps sums of offsets and lengths of headers within an int32. No link type has such
// long packets: see [stream.LinkType.MaxCaptureLength].
const maxOffset = 1 << 30

// start begins at the link header of a packet. It returns false if the link type or its
// protocol is not known.
func (w *walk) start(packet *stream.Packet) bool {
	data := packet.Data
	length, typeAt := int32(0), int32(-1)
	switch packet.LinkType {
	case stream.LinkTypeEthernet:
		length, typeAt = frame.EthernetLength, ethernetTypeAt
	case stream.LinkTypeLinuxSLL:
		length, typeAt = cookedLength, cookedTypeAt
	case stream.LinkTypeLinuxSLL2:
		length, typeAt = cookedV2Length, cookedV2TypeAt
	case stream.LinkTypeRaw, stream.LinkTypeIPv4, stream.LinkTypeIPv6:
	case stream.LinkTypeNull, stream.LinkTypeLoop:
		length = addressFamilyLength
	case stream.LinkTypePPP:
		length = pppLength(data)
	default:
		return false
	}
	if len(data) <= int(length) || len(data) > maxOffset {
		return false
	}
	w.end, w.wireEnd = int32(len(data)), int32(min(packet.WireLength, maxOffset))
	w.linkType, w.headLength = packet.LinkType, length
	w.at, w.tags, w.tagsEnd = length, length, length
	switch {
	case typeAt >= 0:
		w.etherType = binary.BigEndian.Uint16(data[typeAt:])
	case packet.LinkType == stream.LinkTypePPP:
		w.etherType = pppType(binary.BigEndian.Uint16(data[length-2:]))
	default:
		w.etherType = versionType(data[length])
	}
	w.tagType = w.etherType
	return true
}

// Offsets of the EtherType in link headers: IEEE 802.3, LINKTYPE_LINUX_SLL and
// LINKTYPE_LINUX_SLL2.
const (
	ethernetTypeAt = 12
	cookedTypeAt   = 14
	cookedV2TypeAt = 0
)

// pppLength returns the length of a PPP header. The address and the control field may be left
// out: RFC 1661, section 6.6.
func pppLength(data []byte) int32 {
	const length, long = 2, 4
	if len(data) >= 2 && data[0] == 0xff && data[1] == 0x03 {
		return long
	}
	return length
}

// versionType returns the EtherType of an IP packet, or 0.
func versionType(first byte) uint16 {
	switch first >> 4 {
	case 4:
		return frame.EtherTypeIPv4
	case 6:
		return frame.EtherTypeIPv6
	}
	return 0
}

// step skips the next header. It returns the kind of tunnel that it has skipped, or the reason
// why it cannot skip one that is to be removed. It also skips tags, labels and PPPoE that stay,
// because a tunnel that is to be removed may be inside.
func (w *walk) step(kinds kindSet) (Kind, reason) {
	switch {
	case w.etherType == frame.EtherTypeIPv4:
		return w.leaveIPv4(kinds)
	case w.etherType == frame.EtherTypeIPv6:
		return w.leaveIPv6(kinds)
	case frame.IsVLANTag(w.etherType):
		return linkLayer(kinds, VLAN, w.passTag(kinds))
	case w.etherType == frame.EtherTypeMPLS, w.etherType == frame.EtherTypeMPLSUpstream:
		return linkLayer(kinds, MPLS, w.passLabels(w.at))
	case w.etherType == frame.EtherTypePPPoE:
		return linkLayer(kinds, PPPoE, w.passPPPoE())
	}
	return noKind, noReason
}

// linkLayer returns the result of step for a header that is skipped even if it stays.
func linkLayer(kinds kindSet, kind Kind, why reason) (Kind, reason) {
	switch {
	case kinds.has(kind):
		return kind, why
	case why != noReason:
		return noKind, noReason
	}
	return passed, noReason
}

// has reports whether length bytes from the offset on were captured.
func (w *walk) has(offset, length int32) bool { return offset+length <= w.end }

// lacks is the reason why length bytes from the offset on are not there.
func (w *walk) lacks(offset, length int32) reason {
	if offset+length <= w.wireEnd {
		return cutInHeaders
	}
	return invalidHeader
}

// limit says that the outer packet ends at an offset. What follows is padding.
func (w *walk) limit(end int32) {
	w.end, w.wireEnd = min(w.end, end), min(w.wireEnd, end)
}

// enterFrame continues with the Ethernet frame at an offset.
func (w *walk) enterFrame(offset int32) reason {
	if !w.has(offset, frame.EthernetLength) {
		return w.lacks(offset, frame.EthernetLength)
	}
	at := offset + frame.EthernetLength
	w.linkType, w.head, w.headLength = stream.LinkTypeEthernet, offset, frame.EthernetLength
	w.at, w.tags, w.tagsEnd = at, at, at
	w.etherType = binary.BigEndian.Uint16(w.data[offset+ethernetTypeAt:])
	w.tagType = w.etherType
	return noReason
}

// enterNetwork continues with the packet at an offset, which keeps the link header that the
// frame has. It knows IP and MPLS. Not every protocol type of GRE is an EtherType, such as
// that of NHRP, and a VLAN tag is a part of a frame.
func (w *walk) enterNetwork(offset int32, etherType uint16) reason {
	switch etherType {
	case frame.EtherTypeIPv4, frame.EtherTypeIPv6:
		length := int32(frame.MinIPv4Length)
		if etherType == frame.EtherTypeIPv6 {
			length = frame.IPv6Length
		}
		if !w.has(offset, length) {
			return w.lacks(offset, length)
		}
		if versionType(w.data[offset]) != etherType {
			return unknownPayload
		}
	case frame.EtherTypeMPLS, frame.EtherTypeMPLSUpstream:
		if !w.has(offset, mplsLength) {
			return w.lacks(offset, mplsLength)
		}
	default:
		return unknownPayload
	}
	w.at, w.etherType = offset, etherType
	return noReason
}

// enterIP is enterNetwork for an IP packet of either version.
func (w *walk) enterIP(offset int32) reason {
	if !w.has(offset, 1) {
		return w.lacks(offset, 1)
	}
	return w.enterNetwork(offset, versionType(w.data[offset]))
}

// passTag skips a VLAN tag.
func (w *walk) passTag(kinds kindSet) reason {
	if !w.has(w.at, frame.VLANTagLength) {
		return w.lacks(w.at, frame.VLANTagLength)
	}
	w.etherType = binary.BigEndian.Uint16(w.data[w.at+2:])
	w.at += frame.VLANTagLength
	w.tagsEnd = w.at
	if kinds.has(VLAN) {
		w.tags, w.tagType = w.at, w.etherType
	}
	return noReason
}

// passLabels skips a stack of MPLS labels at an offset.
func (w *walk) passLabels(at int32) reason {
	for isLast := false; !isLast; at += mplsLength {
		if !w.has(at, mplsLength) {
			return w.lacks(at, mplsLength)
		}
		isLast = w.data[at+2]&1 != 0
	}
	return w.enterLabelled(at)
}

// enterLabelled continues with what is behind MPLS labels. No field says what that is. Its first
// four bits do: 4 and 6 are IP (RFC 4928, section 3), 0 is the control word of a pseudowire,
// and 1 its associated channel (RFC 4385, sections 3 and 5). Anything else, and 0 without a
// control word, may be an Ethernet frame (RFC 4448, section 4.6), if it looks like one.
func (w *walk) enterLabelled(offset int32) reason {
	if !w.has(offset, controlLength) {
		return w.lacks(offset, controlLength)
	}
	switch word := binary.BigEndian.Uint32(w.data[offset:]); {
	case word>>28 == 4 || word>>28 == 6:
		return w.enterIP(offset)
	case word>>28 == 1 && !w.looksLikeEthernet(offset):
		return controlMessage
	case word>>16 == 0 && w.looksLikeEthernet(offset+controlLength):
		return w.enterFrame(offset + controlLength)
	case w.looksLikeEthernet(offset):
		return w.enterFrame(offset)
	case !w.has(offset, controlLength+frame.EthernetLength):
		return w.lacks(offset, controlLength+frame.EthernetLength)
	}
	return unknownPayload
}

// looksLikeEthernet reports whether an Ethernet frame with a common EtherType is at an offset.
func (w *walk) looksLikeEthernet(offset int32) bool {
	if !w.has(offset, frame.EthernetLength) {
		return false
	}
	etherType := binary.BigEndian.Uint16(w.data[offset+ethernetTypeAt:])
	switch etherType {
	case frame.EtherTypeIPv4, frame.EtherTypeIPv6, frame.EtherTypeARP, frame.EtherTypeMPLS, frame.EtherTypeMPLSUpstream, frame.EtherTypePPPoE:
		return true
	default: // a tag, or the length of an 802.3 frame
		return frame.IsVLANTag(etherType) || etherType > 0 && etherType <= frame.MaxEtherLength && offset+frame.EthernetLength+int32(etherType) <= w.wireEnd
	}
}

// passPPPoE skips the header of a PPPoE session.
func (w *walk) passPPPoE() reason {
	const protocolLength, versionAndType = 2, 0x11 // RFC 2516, section 4
	if !w.has(w.at, pppoeLength+protocolLength) {
		return w.lacks(w.at, pppoeLength+protocolLength)
	}
	header := w.data[w.at:]
	if header[0] != versionAndType || header[1] != 0 {
		return invalidHeader
	}
	start := w.at + pppoeLength + protocolLength
	if length := int32(binary.BigEndian.Uint16(header[4:])); length >= protocolLength {
		w.limit(w.at + pppoeLength + length)
	}
	protocol := binary.BigEndian.Uint16(header[pppoeLength:])
	if protocol >= pppControl {
		return controlMessage
	}
	return w.enterNetwork(start, pppType(protocol))
}

// pppType returns the EtherType of a PPP protocol, or 0.
func pppType(protocol uint16) uint16 {
	switch protocol {
	case pppIPv4:
		return frame.EtherTypeIPv4
	case pppIPv6:
		return frame.EtherTypeIPv6
	case pppMPLS:
		return frame.EtherTypeMPLS
	}
	return 0
}

// pppControl is the first protocol number of those that control a link: RFC 1661, section 2.
const pppControl = 0x8000

// hasLink reports whether the packet inside can have the link header of the frame.
func (p *place) hasLink() bool {
	switch p.linkType {
	case stream.LinkTypeEthernet, stream.LinkTypeLinuxSLL, stream.LinkTypeLinuxSLL2:
		return true
	}
	return p.etherType == frame.EtherTypeIPv4 || p.etherType == frame.EtherTypeIPv6
}

// replace makes a packet the one at this place. The link header and its VLAN tags move to the
// front of what follows them.
func (p *place) replace(packet *stream.Packet) {
	data := packet.Data
	tags := p.at - (p.tagsEnd - p.tags)
	head := tags - p.headLength
	if head != p.head && p.headLength > 0 {
		if p.tags != p.tagsEnd {
			copy(data[tags:], data[p.tags:p.tagsEnd]) // before the link header, which may move to where they were
		}
		if p.headLength == frame.EthernetLength { // a known length is copied faster
			header := [frame.EthernetLength]byte(data[p.head:])
			copy(data[head:], header[:])
		} else {
			copy(data[head:], data[p.head:p.head+p.headLength])
		}
		p.setType(data[head:p.at])
	}
	packet.Data = data[head:p.end:p.end]
	packet.LinkType = p.linkType
	packet.WireLength = uint32(max(p.wireEnd-head, 0))
	if p.headLength == 0 && p.etherType != linkTypeVersion(p.linkType) {
		packet.LinkType = stream.LinkTypeRaw
	}
}

// linkTypeVersion is the EtherType of a link type for one version of IP.
func linkTypeVersion(linkType stream.LinkType) uint16 {
	switch linkType {
	case stream.LinkTypeIPv4:
		return frame.EtherTypeIPv4
	case stream.LinkTypeIPv6:
		return frame.EtherTypeIPv6
	}
	return 0
}

// setType writes the EtherType of what follows a link header and its tags.
func (p *place) setType(header []byte) {
	first := p.etherType
	if len(header) > int(p.headLength) {
		binary.BigEndian.PutUint16(header[len(header)-2:], p.etherType)
		first = p.tagType
	}
	switch p.linkType {
	case stream.LinkTypeEthernet:
		binary.BigEndian.PutUint16(header[ethernetTypeAt:], first)
	case stream.LinkTypeLinuxSLL:
		binary.BigEndian.PutUint16(header[cookedTypeAt:], first)
	case stream.LinkTypeLinuxSLL2:
		binary.BigEndian.PutUint16(header[cookedV2TypeAt:], first)
	case stream.LinkTypeNull, stream.LinkTypeLoop:
		setFamily(header, p.etherType)
	case stream.LinkTypePPP:
		protocol := uint16(pppIPv4)
		if p.etherType == frame.EtherTypeIPv6 {
			protocol = pppIPv6
		}
		binary.BigEndian.PutUint16(header[len(header)-2:], protocol)
	}
}

// Address families of LINKTYPE_NULL: 2 is IPv4 everywhere, and 24 is IPv6 of OpenBSD and
// NetBSD, which all readers know.
const familyIPv4, familyIPv6 = 2, 24

// setFamily writes an address family in the byte order that the header has: the families are
// less than 256.
func setFamily(header []byte, etherType uint16) {
	family := byte(familyIPv4)
	if etherType == frame.EtherTypeIPv6 {
		family = familyIPv6
	}
	if header[0] != 0 {
		header[0] = family
	} else {
		header[3] = family
	}
}
