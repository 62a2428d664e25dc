package tunnel

import (
	"encoding/binary"

	"pcap-replay/internal/frame"
)

// enterUDP continues with what is in a tunnel in UDP. The kind is noKind if there is none that
// is to be removed. The destination port says which one it is, and the header of the tunnel
// must agree, because any program may have taken the port.
func (w *walk) enterUDP(kinds kindSet, offset int32, isFragment bool) (kind Kind, why reason) {
	if !w.has(offset, frame.UDPLength) {
		return noKind, noReason
	}
	port := binary.BigEndian.Uint16(w.data[offset+2:])
	switch port {
	case portVXLAN, portVXLANOld, portVXLANGPE:
		kind = VXLAN
	case portGENEVE:
		kind = GENEVE
	case portGTPU:
		kind = GTPU
	case portMPLS:
		kind = MPLS
	default:
		return noKind, noReason
	}
	if !kinds.has(kind) {
		return noKind, noReason
	}
	if isFragment {
		return kind, outerFragment
	}
	if length := int32(binary.BigEndian.Uint16(w.data[offset+4:])); length >= frame.UDPLength { // 0: a jumbogram, RFC 2675
		w.limit(offset + length)
	}
	offset += frame.UDPLength
	switch {
	case kind == GENEVE:
		return kind, w.enterGENEVE(offset)
	case kind == GTPU:
		return kind, w.enterGTPU(offset)
	case kind == MPLS:
		return kind, w.passLabels(offset)
	case port == portVXLANGPE:
		return kind, w.enterVXLANGPE(offset)
	}
	return kind, w.enterVXLAN(offset)
}

// vxlanHasVNI is the flag of a VXLAN header that is always set: RFC 7348, section 5.
const vxlanHasVNI = 0x08

// enterVXLAN continues with the frame in VXLAN. Like Linux (vxlan_rcv in
// drivers/net/vxlan/vxlan_core.c), it takes no header with bits that are reserved. The group
// policy extension uses some of them: draft-smith-vxlan-group-policy-05, section 2.1.
func (w *walk) enterVXLAN(offset int32) reason {
	if !w.has(offset, vxlanLength) {
		return w.lacks(offset, vxlanLength)
	}
	const hasPolicy, policyFlags = 0x80, 0x48
	header := w.data[offset : offset+vxlanLength]
	isPlain := header[0] == vxlanHasVNI && header[1] == 0 && header[2] == 0 && header[3] == 0
	isGroup := header[0] == vxlanHasVNI|hasPolicy && header[1]&^policyFlags == 0
	if !isPlain && !isGroup || header[7] != 0 {
		return invalidHeader
	}
	return w.enterFrame(offset + vxlanLength)
}

// enterVXLANGPE continues with what is in VXLAN-GPE: draft-ietf-nvo3-vxlan-gpe-13, section 3.
func (w *walk) enterVXLANGPE(offset int32) reason {
	if !w.has(offset, vxlanLength) {
		return w.lacks(offset, vxlanLength)
	}
	const version, hasProtocol, isControl = 0x30, 0x04, 0x01
	const isIPv4, isIPv6, isEthernet = 1, 2, 3
	flags, protocol, at := w.data[offset], w.data[offset+3], offset+vxlanLength
	switch {
	case flags&version != 0 || flags&vxlanHasVNI == 0:
		return invalidHeader
	case flags&isControl != 0:
		return controlMessage
	case flags&hasProtocol == 0:
		return w.enterFrame(at)
	case protocol == isIPv4:
		return w.enterNetwork(at, frame.EtherTypeIPv4)
	case protocol == isIPv6:
		return w.enterNetwork(at, frame.EtherTypeIPv6)
	case protocol == isEthernet:
		return w.enterFrame(at)
	}
	return unknownPayload
}

// enterGENEVE continues with what is in GENEVE: RFC 8926, section 3.4.
func (w *walk) enterGENEVE(offset int32) reason {
	if !w.has(offset, geneveLength) {
		return w.lacks(offset, geneveLength)
	}
	const version, optionsLength, isControl = 0xc0, 0x3f, 0x80
	header := w.data[offset:]
	at := offset + geneveLength + geneveOptionUnit*int32(header[0]&optionsLength)
	etherType := binary.BigEndian.Uint16(header[2:])
	switch {
	case header[0]&version != 0:
		return invalidHeader
	case header[1]&isControl != 0:
		return controlMessage
	case etherType == etherTypeTEB:
		return w.enterFrame(at)
	}
	return w.enterNetwork(at, etherType)
}

// enterGTPU continues with the IP packet in GTP-U: 3GPP TS 29.281, section 5.
func (w *walk) enterGTPU(offset int32) reason {
	if !w.has(offset, gtpLength) {
		return w.lacks(offset, gtpLength)
	}
	const versionAndType, version1OfGTP, hasExtension, hasOptional, isPacket = 0xf0, 0x30, 0x04, 0x07, 255
	header := w.data[offset:]
	switch {
	case header[0]&versionAndType != version1OfGTP:
		return invalidHeader
	case header[1] != isPacket:
		return controlMessage
	}
	w.limit(offset + gtpLength + int32(binary.BigEndian.Uint16(header[2:])))
	at := offset + gtpLength
	if header[0]&hasOptional == 0 {
		return w.enterIP(at)
	}
	if !w.has(at, gtpOptionalLength) {
		return w.lacks(at, gtpOptionalLength)
	}
	at += gtpOptionalLength
	if header[0]&hasExtension == 0 {
		return w.enterIP(at)
	}
	for w.data[at-1] != 0 { // the type of the next extension header
		if !w.has(at, 1) {
			return w.lacks(at, 1)
		}
		length := gtpExtensionUnit * int32(w.data[at])
		if length == 0 {
			return invalidHeader
		}
		if !w.has(at, length) {
			return w.lacks(at, length)
		}
		at += length
	}
	return w.enterIP(at)
}
