package filter

import "pcap-replay/stream"

// tag is vlan, mpls, pppoes, geneve or vxlan. Everything that follows in the text applies
// to the inner packet, as in libpcap, even after or.
type tag struct {
	word   token
	number *token // of the VLAN, label, session or network
}

// tagLimits are the largest numbers.
var tagLimits = map[string]uint32{"vlan": 0xfff, "mpls": 0xfffff, "pppoes": 0xffff, "geneve": 0xffffff, "vxlan": 0xffffff}

func (n tag) condition(g *generator) *condition {
	g.word = n.word
	if limit := tagLimits[n.word.word]; n.number != nil && n.number.number > limit {
		panic(n.number.refuse("a number of %s is at most %d", n.word.word, limit))
	}
	switch n.word.word {
	case "vlan":
		return n.vlan(g)
	case "mpls":
		return n.mpls(g)
	case "pppoes":
		return n.pppoes(g)
	case "geneve":
		return n.geneve(g)
	}
	return n.vxlan(g)
}

// numbered combines the test for the tag's number with the one for the tag.
func (n tag) numbered(g *generator, tagged *condition, at position, size, mask, shift uint32) *condition {
	if n.number == nil {
		return tagged
	}
	return and(tagged, g.maskedAt(at, size, mask, n.number.number<<shift))
}

func (n tag) vlan(g *generator) *condition {
	if g.labels > 0 {
		panic(g.refuse("cannot be used within mpls"))
	}
	if g.link != stream.LinkTypeEthernet && (!isWiFi(g.link) || g.link == stream.LinkTypePPI) {
		panic(g.refuse("link type %s has no VLANs", g.link))
	}
	tagged := or(g.carries(etherVLAN), g.carries(etherQinQ), g.carries(etherOldQ))
	tagged = n.numbered(g, tagged, g.networkAt(0), 2, 0xfff, 0)
	g.payload, g.typeAt = g.payload.plus(4), g.typeAt.plus(4)
	return tagged
}

func (n tag) mpls(g *generator) *condition {
	var tagged *condition
	switch {
	case g.labels > 0: // the label before is not the last one
		tagged = g.maskedAt(g.networkAt(0).plus(^uint32(1)), 1, 1, 0)
	case g.link == stream.LinkTypeEthernet, g.link == linkTypeCiscoHDLC:
		tagged = g.carries(etherMPLS)
	case g.link == stream.LinkTypePPP:
		tagged = g.carries(pppMPLS)
	default:
		panic(g.refuse("link type %s has no MPLS", g.link))
	}
	tagged = n.numbered(g, tagged, g.networkAt(0), 4, 0xfffff000, 12)
	g.network, g.plain, g.labels = g.network+4, g.plain+4, g.labels+1
	return tagged
}

func (n tag) pppoes(g *generator) *condition {
	tagged := n.numbered(g, g.carries(etherPPPoES), g.networkAt(0), 4, 0xffff, 0)
	g.enter(stream.LinkTypePPP, g.networkAt(6)) // after the PPPoE header: RFC 2516
	g.typeAt, g.payload = g.header, g.header.plus(2)
	g.network, g.plain = 0, 0
	return tagged
}

// enter begins a new link-layer header.
func (g *generator) enter(link stream.LinkType, header position) {
	g.link, g.header, g.tunnelled, g.optional = link, header, false, false
}

// discovery is pppoed.
type discovery struct{ word token }

func (n discovery) condition(g *generator) *condition {
	g.word = n.word
	return g.notFutile(g.carries(etherPPPoED))
}

// Ports of the tunnels over UDP, and where their fields are after its header.
const (
	genevePort = 6081 // RFC 8926
	vxlanPort  = 4789 // RFC 7348
	udpHeader  = 8
)

// overUDP is the test for a tunnel over IPv4 or IPv6. It stores the length of the IP
// header, with the variable part of the headers before it, in a register, and returns the
// offset after the UDP header.
func (n tag) overUDP(g *generator, port, mask, flags uint32) (tagged *condition, inner position) {
	length := g.newRegister()
	tunnel := func(family uint32, protocolAt position, precondition *condition, transport func(uint32) position) *condition {
		carried := and(g.carries(family), g.at(protocolAt, 1, equal, protocolUDP), precondition,
			g.at(transport(2), 2, equal, port), g.maskedAt(transport(udpHeader), 1, mask, flags))
		carried = n.numbered(g, carried, transport(udpHeader+4), 4, 0xffffff00, 8)
		behind := transport(0)
		base := g.values.constant(behind.k - g.payload.k - g.network)
		if behind.base != nil {
			base = g.values.arithmetic("+", behind.base, base)
		}
		return and(carried, assign(length, base))
	}
	tagged = or(
		tunnel(etherIP, g.networkAt(9), g.notLaterFragment(), g.transportAt),
		tunnel(etherIPv6, g.networkAt(6), nil, g.transport6At),
	)
	return tagged, position{length, g.payload.k + g.network + udpHeader}
}

// geneve has options of variable length, and may carry Ethernet or only a protocol.
func (n tag) geneve(g *generator) *condition {
	const header, ethernet, typeField = 8, 14, 12
	tagged, at := n.overUDP(g, genevePort, 0xc0, 0) // version 0
	options := g.values.arithmetic("*", g.masked(g.load(at, 1), 0x3f), g.values.constant(4))
	sum := func(v *value, k uint32) *value { return g.values.arithmetic("+", v, g.values.constant(k)) }
	inner, typeAt, payload := g.newRegister(), g.newRegister(), g.newRegister()
	end := sum(g.values.arithmetic("+", options, at.base), at.k+header)
	tagged = and(tagged,
		assign(inner, end),
		or(
			and(g.at(at.plus(2), 2, equal, etherBridge), assign(typeAt, sum(inner, typeField)), assign(payload, sum(inner, ethernet))),
			and(assign(typeAt, sum(at.base, at.k+2)), assign(payload, inner)),
		))
	g.enter(stream.LinkTypeEthernet, position{base: inner})
	g.typeAt, g.payload, g.network = position{base: typeAt}, position{base: payload}, 0
	g.tunnelled, g.optional, g.unoptimized = true, true, true
	return tagged
}

func (n tag) vxlan(g *generator) *condition {
	const header, ethernet, typeField = 8, 14, 12
	tagged, at := n.overUDP(g, vxlanPort, 0xff, 8) // a valid network number
	inner := at.plus(header)
	g.enter(stream.LinkTypeEthernet, inner)
	g.typeAt, g.payload, g.network = inner.plus(typeField), inner.plus(ethernet), 0
	g.tunnelled = true
	return tagged
}

// hasLinkHeader is the test that there is a link-layer header. It is nil if there always is
// one.
func (g *generator) hasLinkHeader() *condition {
	if !g.optional {
		return nil
	}
	return not(compare(g.header.base, equal, g.payload.base))
}

// direction is inbound or outbound: whether the capturing machine received the packet or
// sent it.
type direction struct{ word token }

func (n direction) condition(g *generator) *condition {
	g.word = n.word
	const outgoing = 4 // PACKET_OUTGOING
	var sent *condition
	switch g.link {
	case stream.LinkTypeLinuxSLL:
		sent = g.at(g.header, 2, equal, outgoing)
	case stream.LinkTypeLinuxSLL2:
		sent = g.at(g.header.plus(10), 1, equal, outgoing)
	default:
		panic(g.refuse("link type %s does not record directions", g.link))
	}
	if n.word.is("outbound") {
		return sent
	}
	return not(sent)
}

// interfaceIndex is the number of the capturing interface.
type interfaceIndex struct {
	word  token
	index uint32
}

func (n interfaceIndex) condition(g *generator) *condition {
	g.word = n.word
	if g.link != stream.LinkTypeLinuxSLL2 {
		panic(g.refuse("link type %s does not record interfaces", g.link))
	}
	return g.at(g.header.plus(4), 4, equal, n.index)
}

// cast is broadcast or multicast.
type cast struct {
	word     token
	protocol string
}

func (n cast) condition(g *generator) *condition {
	g.word = n.word
	return g.notFutile(n.test(g))
}

func (n cast) test(g *generator) *condition {
	broadcast := n.word.is("broadcast")
	switch {
	case n.protocol == "" || n.protocol == "link":
		if broadcast {
			return g.etherHost([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "dst")
		}
		return g.etherMulticast()
	case n.protocol == "ip" && broadcast:
		// A capture does not have the netmask, so none is assumed, as by tcpdump -r.
		to := g.networkAt(16)
		return and(g.carries(etherIP), or(g.at(to, 4, equal, 0), g.at(to, 4, equal, 0xffffffff)))
	case n.protocol == "ip":
		return and(g.carries(etherIP), g.at(g.networkAt(16), 1, greaterOrEqual, 224))
	case n.protocol == "ip6" && !broadcast:
		return and(g.carries(etherIPv6), g.at(g.networkAt(24), 1, equal, 255))
	}
	panic(g.refuse("cannot be used with %s", n.protocol))
}

func (g *generator) etherMulticast() *condition {
	group := func(k uint32) *condition { return g.at(g.header.plus(k), 1, anyBit, 1) }
	switch {
	case g.link == stream.LinkTypeEthernet:
		return and(g.hasLinkHeader(), group(0))
	case isWiFi(g.link):
		return g.wifiDestination(group)
	}
	panic(g.refuse("link type %s has no MAC addresses", g.link))
}
