package rewrite

import (
	"encoding/binary"

	"pcap-replay/internal/frame"
)

// ipv6Address is the length of an address, in bytes.
const ipv6Address = 16

// rewriteAddress changes an IPv4 address and returns the difference for checksums.
func (r *Rewriter) rewriteAddress(field []byte) (difference uint64) {
	before := binary.BigEndian.Uint32(field)
	after := before ^ uint32(r.addresses.flip(number{low: uint64(before)}).low)
	if r.rounds != nil {
		after = r.rounds.address(after)
	}
	if after == before {
		return 0
	}
	binary.BigEndian.PutUint32(field, after)
	r.changed = true
	return frame.Difference(before, after)
}

// rewriteAddress6 is rewriteAddress for IPv6.
func (r *Rewriter) rewriteAddress6(field []byte) (difference uint64) {
	before := number{binary.BigEndian.Uint64(field), binary.BigEndian.Uint64(field[8:])}
	after := before.xor(r.addresses6.flip(before))
	if r.rounds != nil {
		after = r.rounds.address6(after)
	}
	if after == before {
		return 0
	}
	binary.BigEndian.PutUint64(field, after.high)
	binary.BigEndian.PutUint64(field[8:], after.low)
	r.changed = true
	return difference64(before.high, after.high) + difference64(before.low, after.low)
}

func difference64(before, after uint64) uint64 {
	return frame.Difference(uint32(before>>32), uint32(after>>32)) + frame.Difference(uint32(before), uint32(after))
}

// packet is what the rules for transport headers need to know of an IP packet.
type packet struct {
	protocol byte
	payload  []byte // of IP, as far as it was captured
	whole    int    // length of the payload on the wire; 0 if it is not known
	pseudo   uint64 // difference of the addresses in the pseudo-header
	isIPv6   bool
	quote    quotation
	isFirst  bool // of several fragments
}

// isCut reports whether the capture lacks the end of the packet.
func (p *packet) isCut() bool { return p.whole > len(p.payload) }

// quotation says whether a packet is in an ICMP error, which may hold only its beginning.
type quotation int

const (
	notQuoted quotation = iota
	quoted
	quotedAndCut // the capture lacks the end of the ICMP error
)

// rewriteIPv4 changes a packet and returns the difference of all its words.
func (r *Rewriter) rewriteIPv4(ip []byte, quote quotation) (difference uint64) {
	if len(ip) < frame.MinIPv4Length {
		r.missIP(Cut, quote)
		return 0
	}
	header, total := int(ip[0]&0x0f)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || header < frame.MinIPv4Length {
		r.missIP(Header, quote)
		return 0
	}
	source, destination := r.rewriteAddress(ip[12:]), r.rewriteAddress(ip[16:])
	difference = source + destination
	if header > frame.MinIPv4Length && (r.rounds != nil || !r.addresses.isEmpty()) {
		options, final, isWhole := r.rewriteIPv4Options(ip[frame.MinIPv4Length:min(header, len(ip))], destination)
		difference += options
		destination = final
		if !isWhole && len(ip) < header {
			r.missIP(Cut, quote)
		} else if !isWhole {
			r.missIP(Header, quote)
		}
	}
	p := packet{protocol: ip[9], pseudo: source + destination, quote: quote}
	difference += updateChecksum(ip[10:], difference)
	switch {
	case len(ip) < header:
		r.missPorts(Cut, quote)
		return difference
	case total >= header:
		p.payload, p.whole = ip[header:max(min(total, len(ip)), header)], total-header
	default: // the length of a superframe may be 0
		p.payload = ip[header:]
	}
	const moreFragments, offsetMask = 0x2000, 0x1fff
	fragment := binary.BigEndian.Uint16(ip[6:])
	if fragment&offsetMask != 0 {
		r.missPorts(Fragment, quote)
		return difference
	}
	p.isFirst = fragment&moreFragments != 0
	behind, isWhole := frame.PassAuthentication(p.protocol, p.payload)
	if !isWhole {
		r.missPorts(Cut, quote)
		return difference
	}
	p.whole = max(p.whole-(len(p.payload)-len(behind.Rest)), 0)
	p.protocol, p.payload = behind.Protocol, behind.Rest
	return difference + r.rewriteTransport(&p)
}

// missIP notes that the IP header cannot be changed. A router may quote any part of a packet,
// so a missing header counts only if the capture lacks it.
func (r *Rewriter) missIP(reason Reason, quote quotation) {
	if quote != quoted {
		r.miss(reason)
	}
}

// missPorts is missIP for ports.
func (r *Rewriter) missPorts(reason Reason, quote quotation) {
	if !r.ports.isEmpty() {
		r.missIP(reason, quote)
	}
}

// missAddress6 is missIP for an IPv6 address behind the header.
func (r *Rewriter) missAddress6(quote quotation) {
	if r.rounds != nil || !r.addresses6.isEmpty() {
		r.missIP(Cut, quote)
	}
}

// rewriteIPv6 changes a packet and returns the difference of all its words.
func (r *Rewriter) rewriteIPv6(ip []byte, quote quotation) (difference uint64) {
	if len(ip) < frame.IPv6Length {
		r.missIP(Cut, quote)
		return 0
	}
	if ip[0]>>4 != 6 {
		r.missIP(Header, quote)
		return 0
	}
	source, destination := r.rewriteAddress6(ip[8:]), r.rewriteAddress6(ip[24:])
	difference = source + destination
	whole, payload := int(binary.BigEndian.Uint16(ip[4:])), ip[frame.IPv6Length:]
	if whole > 0 { // 0: a jumbogram
		payload = payload[:min(whole, len(payload))]
	}
	extensions := frame.Extensions{Protocol: ip[6], Rest: payload}
	for extensions.Next() {
		switch extensions.Type {
		case frame.ProtocolDestination:
			if home := r.rewriteHomeAddress(extensions.Header); home.isThere {
				difference += atOffset(home.difference, home.offset)
				source = home.difference
			}
		case frame.ProtocolRouting:
			all, final, isKnown := r.rewriteRoute(extensions.Header, destination)
			difference += all
			destination = final
			if !isKnown {
				r.missIP(Route, quote)
			}
		}
	}
	switch {
	case extensions.IsCut:
		r.missPorts(Cut, quote)
		if kind := extensions.Protocol; kind == frame.ProtocolRouting || kind == frame.ProtocolDestination {
			r.missAddress6(quote)
		}
		return difference
	case extensions.IsLater:
		r.missPorts(Fragment, quote)
		return difference
	}
	return difference + r.rewriteTransport(&packet{
		protocol: extensions.Protocol, payload: extensions.Rest, whole: max(whole-(len(payload)-len(extensions.Rest)), 0),
		pseudo: source + destination, isIPv6: true, quote: quote, isFirst: extensions.IsFragment,
	})
}

// homeAddress is the address of a mobile node, which is in the pseudo-header of checksums
// instead of the source address: RFC 6275, sections 6.3 and 11.3.1.
type homeAddress struct {
	isThere    bool
	offset     int // in the extension header
	difference uint64
}

// rewriteHomeAddress changes the home address in destination options: RFC 8200, section 4.2.
func (r *Rewriter) rewriteHomeAddress(extension []byte) (home homeAddress) {
	const pad1, homeOption = 0, 0xc9
	options := extension[2:]
	for len(options) >= 2 {
		if options[0] == pad1 {
			options = options[1:]
			continue
		}
		length := 2 + int(options[1])
		if length > len(options) {
			return home
		}
		if options[0] == homeOption && length >= 2+ipv6Address {
			return homeAddress{true, len(extension) - len(options) + 2, r.rewriteAddress6(options[2:])}
		}
		options = options[length:]
	}
	return home
}

// Routing headers with addresses: Routing Types of IANA.
const (
	sourceRoute    = 0 // RFC 2460
	mobility       = 2 // RFC 6275
	segmentRouting = 4 // RFC 8754

	routingType  = 2 // offsets
	segmentsLeft = 3
	lastEntry    = 4
	addressesAt  = 8
)

// rewriteRoute changes the addresses of a routing header. final is the difference of the
// destination in the pseudo-header of checksums: while segments are left, it is the final
// destination (RFC 8200, section 8.1). isKnown is false if that is in a header of another type.
func (r *Rewriter) rewriteRoute(header []byte, destination uint64) (all, final uint64, isKnown bool) {
	addresses := header[addressesAt:]
	kind, count, isLeft := header[routingType], len(addresses)/ipv6Address, header[segmentsLeft] > 0
	switch kind {
	case sourceRoute, mobility:
	case segmentRouting:
		count = min(count, int(header[lastEntry])+1)
	default:
		return 0, 0, !isLeft
	}
	final = destination
	for i := range count {
		difference := r.rewriteAddress6(addresses[i*ipv6Address:])
		all += difference
		if isLeft && (kind != segmentRouting || i == 0) { // segments are in reverse order
			final = difference
		}
	}
	return all, final, true
}
