package compare

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/record"
)

// countPair counts two packets that belong together as matched, or as altered with the
// fields.
func (r *Result) countPair(reference, capture *packet) {
	if r.countAltered(reference, capture) {
		r.Altered++
	} else {
		r.Matched++
	}
	r.countFraming(reference, capture)
}

// countAltered counts the fields that differ, and reports whether there are any.
func (r *Result) countAltered(a, b *packet) (altered bool) {
	count := func(counter *int64, differs bool) {
		if differs {
			*counter++
			altered = true
		}
	}
	f := &r.AlteredFields
	count(&f.VLAN, a.tagCount == b.tagCount && a.tags != b.tags)
	if a.keys[exactKey] == b.keys[exactKey] {
		return altered
	}
	count(&f.MAC, a.addressed != b.addressed)
	count(&f.Address, a.addresses != b.addresses)
	count(&f.Port, a.ports != b.ports)
	count(&f.TTL, a.ttl != b.ttl)
	count(&f.TOS, a.tos != b.tos)
	count(&f.Checksum, a.checksums != b.checksums)
	count(&f.Payload, a.keys[rewrittenKey] != b.keys[rewrittenKey] && !a.is(cut) && !b.is(cut))
	return altered
}

const (
	minFrame = 60 // without FCS: IEEE 802.3, 4a.4.2.3
	fcs      = 4
)

// countFraming counts the differences that come from a NIC or from capturing.
func (r *Result) countFraming(a, b *packet) {
	f := &r.Framing
	if a.tagCount != b.tagCount {
		f.VLANTag++
	}
	if a.is(cut) != b.is(cut) || a.is(cut) && a.captured != b.captured {
		f.Snaplen++
	}
	untagged := func(p *packet) int { return frame.EthernetLength + int(p.length) - int(p.network) }
	short, long := min(untagged(a), untagged(b)), max(untagged(a), untagged(b))
	switch {
	case short == long:
		return
	case long == max(short, minFrame)+fcs:
		f.FCS++
	}
	if short < minFrame || long != short+fcs {
		f.Padding++
	}
}

// event describes a packet that has no partner.
func (p *packet) event(event string, number int64) record.Unmatched {
	e := record.Unmatched{Event: event, Packet: number + 1, Length: p.length}
	if !p.is(untimed) {
		time := record.Time(p.time)
		e.Time = &time
	}
	source, destination := netip.Addr{}, netip.Addr{}
	switch {
	case p.ttl == 0 && p.protocol == 0: // not IP
		e.Protocol = fmt.Sprintf("0x%04x", p.etherType)
		return e
	case p.etherType == frame.EtherTypeIPv6:
		source, destination = netip.AddrFrom16([16]byte(p.addresses[:16])), netip.AddrFrom16([16]byte(p.addresses[16:]))
	default:
		source, destination = netip.AddrFrom4([4]byte(p.addresses[:4])), netip.AddrFrom4([4]byte(p.addresses[4:8]))
	}
	e.Protocol = protocolName(p.protocol)
	e.Source, e.Destination = source.String(), destination.String()
	if p.is(ported) {
		var ports [4]byte
		binary.BigEndian.PutUint32(ports[:], p.ports)
		e.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(ports[:])).String()
		e.Destination = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(ports[2:])).String()
	}
	return e
}

func protocolName(protocol uint8) string {
	switch protocol {
	case frame.ProtocolTCP:
		return "tcp"
	case frame.ProtocolUDP:
		return "udp"
	case frame.ProtocolICMP:
		return "icmp"
	case frame.ProtocolICMPv6:
		return "icmp6"
	}
	return fmt.Sprint(protocol)
}
