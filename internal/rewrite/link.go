package rewrite

import (
	"encoding/binary"
	"math"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// tagChange says what to do with the outer VLAN tag.
type tagChange int

const (
	keepTags tagChange = iota
	pushTag
	popTag
)

// linkType is what is known of a link type.
type linkType struct {
	number         stream.LinkType
	isKnown        bool
	length, typeAt int // of the link header, and of its EtherType; 0 without one
	hasNetwork     bool
}

func (r *Rewriter) learnLink(link stream.LinkType) {
	if r.link.isKnown && r.link.number == link {
		return
	}
	r.link = linkType{number: link, isKnown: true, hasNetwork: frame.HasNetworkHeader(link)}
	r.link.length, r.link.typeAt = frame.LinkHeader(link)
}

// changeTags changes the outer VLAN tag, adds one, or removes it.
func (r *Rewriter) changeTags(packet *stream.Packet) {
	if r.tags == keepTags && r.ids.isEmpty() {
		return
	}
	switch {
	case r.link.length == 0:
		r.miss(LinkType)
		return
	case len(packet.Data) < r.link.length:
		r.miss(Cut)
		return
	}
	isTagged := frame.IsVLANTag(binary.BigEndian.Uint16(packet.Data[r.link.typeAt:]))
	if isTagged && len(packet.Data) < r.link.length+frame.VLANTagLength {
		r.miss(Cut)
		return
	}
	if isTagged {
		r.changeID(packet.Data[r.link.length:])
	}
	switch {
	case r.tags == pushTag:
		r.push(packet)
	case r.tags == popTag && isTagged:
		r.pop(packet)
	}
}

const idMask = 0x0fff // of the tag control information: IEEE 802.1Q, 9.6

func (r *Rewriter) changeID(tag []byte) {
	control := binary.BigEndian.Uint16(tag)
	flip := uint16(r.ids.flip(number{low: uint64(control & idMask)}).low)
	if flip != 0 {
		binary.BigEndian.PutUint16(tag, control^flip)
		r.changed = true
	}
}

// push adds a tag.
func (r *Rewriter) push(packet *stream.Packet) {
	if len(packet.Data)+frame.VLANTagLength > int(packet.LinkType.MaxCaptureLength()) {
		r.miss(Length)
		return
	}
	header, rest := packet.Data[:r.link.length], packet.Data[r.link.length:]
	start := len(r.room)
	r.room = append(r.room, header...) // packets before this one keep the memory that they have
	r.room = binary.BigEndian.AppendUint16(r.room, r.pushed)
	r.room = append(r.room, header[r.link.typeAt:][:2]...)
	r.room = append(r.room, rest...)
	packet.Data = r.room[start:len(r.room):len(r.room)]
	binary.BigEndian.PutUint16(packet.Data[r.link.typeAt:], frame.EtherTypeVLAN)
	packet.WireLength = uint32(min(uint64(packet.WireLength)+frame.VLANTagLength, math.MaxUint32))
	r.changed = true
}

// pop removes the outer tag.
func (r *Rewriter) pop(packet *stream.Packet) {
	data, length := packet.Data, r.link.length
	inner := binary.BigEndian.Uint16(data[length+2:])
	copy(data[frame.VLANTagLength:], data[:length])
	packet.Data = data[frame.VLANTagLength:]
	binary.BigEndian.PutUint16(packet.Data[r.link.typeAt:], inner)
	packet.WireLength -= min(packet.WireLength, frame.VLANTagLength)
	r.changed = true
}

// rewriteMACs changes the MAC addresses of the link header.
func (r *Rewriter) rewriteMACs(packet *stream.Packet) {
	if r.macs.isEmpty() && r.source == nil && r.destination == nil {
		return
	}
	destination, source := frame.MACAddresses(packet)
	if !r.macs.isEmpty() {
		r.rewriteMAC(destination)
		r.rewriteMAC(source)
	}
	r.setMAC(destination, r.destination)
	r.setMAC(source, r.source)
	switch {
	case packet.LinkType == stream.LinkTypeEthernet && source == nil:
		r.miss(Cut)
	case destination == nil && r.destination != nil || source == nil && r.source != nil:
		r.miss(LinkType)
	}
}

func (r *Rewriter) setMAC(field []byte, mac *[frame.MACLength]byte) {
	if mac == nil || field == nil {
		return
	}
	if there := (*[frame.MACLength]byte)(field); *there != *mac {
		*there = *mac
		r.changed = true
	}
}

// rewriteMAC changes a MAC address by the rules, and returns the difference for checksums.
// The field may be nil.
func (r *Rewriter) rewriteMAC(field []byte) (difference uint64) {
	if field == nil || r.macs.isEmpty() {
		return 0
	}
	high, low := binary.BigEndian.Uint16(field), binary.BigEndian.Uint32(field[2:])
	flip := r.macs.flip(number{low: uint64(high)<<32 | uint64(low)}).low
	if flip == 0 {
		return 0
	}
	newHigh, newLow := high^uint16(flip>>32), low^uint32(flip)
	binary.BigEndian.PutUint16(field, newHigh)
	binary.BigEndian.PutUint32(field[2:], newLow)
	r.changed = true
	return frame.Difference(high, newHigh) + frame.Difference(low, newLow)
}

// Offsets in an ARP header: RFC 826.
const (
	arpProtocol       = 2
	arpHardwareLength = 4
	arpProtocolLength = 5
	arpAddresses      = 8
)

// rewriteARP changes the addresses of the sender and of the target.
func (r *Rewriter) rewriteARP(arp []byte) {
	if len(arp) < arpAddresses {
		r.miss(Cut)
		return
	}
	hardware, protocol := int(arp[arpHardwareLength]), int(arp[arpProtocolLength])
	isIPv4 := protocol == 4 && binary.BigEndian.Uint16(arp[arpProtocol:]) == frame.EtherTypeIPv4
	addresses := arp[arpAddresses:]
	if len(addresses) < 2*(hardware+protocol) {
		r.miss(Cut)
		return
	}
	for range 2 {
		if hardware == frame.MACLength {
			r.rewriteMAC(addresses[:frame.MACLength])
		}
		if isIPv4 {
			r.rewriteAddress(addresses[hardware:])
		}
		addresses = addresses[hardware+protocol:]
	}
}
