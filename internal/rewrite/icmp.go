package rewrite

// ICMP types: RFC 792.
const (
	unreachable      = 3
	sourceQuench     = 4
	redirect         = 5
	timeExceeded     = 11
	parameterProblem = 12

	icmpLength = 8
)

// rewriteICMP changes the packet that an error quotes, and the gateway of a redirect.
func (r *Rewriter) rewriteICMP(p *packet) (difference uint64) {
	icmp := p.payload
	if p.quote != notQuoted || p.isIPv6 || len(icmp) == 0 {
		return 0
	}
	switch icmp[0] {
	case redirect, unreachable, sourceQuench, timeExceeded, parameterProblem:
	default:
		return 0
	}
	if len(icmp) < icmpLength {
		r.miss(Cut)
		return 0
	}
	if icmp[0] == redirect {
		difference = r.rewriteAddress(icmp[4:])
	}
	return difference + r.rewriteQuote(p, icmp[icmpLength:])
}

// rewriteQuote changes the packet that an error quotes.
func (r *Rewriter) rewriteQuote(p *packet, ip []byte) (difference uint64) {
	quote := quoted
	if p.isCut() {
		quote = quotedAndCut
	}
	if len(ip) == 0 {
		r.missIP(Cut, quote)
		return 0
	}
	switch ip[0] >> 4 {
	case 4:
		return r.rewriteIPv4(ip, quote)
	case 6:
		return r.rewriteIPv6(ip, quote)
	}
	return 0
}

// ICMPv6 types: RFC 4443, and RFC 4861 for neighbor discovery.
const (
	firstInformational    = 128 // errors have smaller types
	routerSolicitation    = 133
	routerAdvertisement   = 134
	neighborSolicitation  = 135
	neighborAdvertisement = 136
	redirect6             = 137
)

// rewriteICMPv6 changes the packet that an error quotes, and the addresses of neighbor
// discovery.
func (r *Rewriter) rewriteICMPv6(p *packet) (difference uint64) {
	icmp := p.payload
	if p.quote != notQuoted || !p.isIPv6 || len(icmp) == 0 {
		return 0
	}
	addresses, options := 0, icmpLength
	switch kind := icmp[0]; kind {
	case routerSolicitation:
	case routerAdvertisement:
		options = 16
	case neighborSolicitation, neighborAdvertisement:
		addresses, options = 1, icmpLength+ipv6Address
	case redirect6:
		addresses, options = 2, icmpLength+2*ipv6Address
	default:
		if kind >= firstInformational {
			return 0
		}
	}
	if len(icmp) < options {
		r.miss(Cut)
		return 0
	}
	if icmp[0] < firstInformational {
		return r.rewriteQuote(p, icmp[icmpLength:])
	}
	for i := range addresses {
		difference += r.rewriteAddress6(icmp[icmpLength+i*ipv6Address:])
	}
	return difference + r.rewriteOptions(p, icmp[options:])
}

// Options of neighbor discovery: RFC 4861, section 4.6.
const (
	sourceLinkLayer   = 1
	targetLinkLayer   = 2
	prefixInformation = 3
	redirectedHeader  = 4
)

// rewriteOptions changes the addresses in the options of neighbor discovery.
func (r *Rewriter) rewriteOptions(p *packet, options []byte) (difference uint64) {
	const unit, prefixLength, prefixAt = 8, 32, 16
	for len(options) >= unit {
		length := int(options[1]) * unit
		if length == 0 || length > len(options) {
			break
		}
		option := options[:length]
		options = options[length:]
		switch kind := option[0]; {
		case (kind == sourceLinkLayer || kind == targetLinkLayer) && length == unit:
			difference += r.rewriteMAC(option[2:])
		case kind == prefixInformation && length == prefixLength:
			difference += r.rewriteAddress6(option[prefixAt:])
		case kind == redirectedHeader:
			difference += r.rewriteQuote(p, option[unit:])
		}
	}
	if p.isCut() {
		r.miss(Cut)
	}
	return difference
}
