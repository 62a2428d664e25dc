package filter

import "pcap-replay/stream"

// Protocol numbers of IP.
const (
	protocolICMP   = 1
	protocolIGMP   = 2
	protocolTCP    = 6
	protocolIGRP   = 9
	protocolUDP    = 17
	protocolESP    = 50
	protocolAH     = 51
	protocolICMPv6 = 58
	protocolPIM    = 103
	protocolVRRP   = 112 // and CARP
	protocolSCTP   = 132
)

// Numbers of the OSI protocols and of the packets of IS-IS.
const (
	osiCLNP = 0x81
	osiESIS = 0x82
	osiISIS = 0x83

	isisHello1, isisHello2, isisHello = 15, 16, 17
	isisLSP1, isisLSP2                = 18, 20
	isisCSNP1, isisCSNP2              = 24, 25
	isisPSNP1, isisPSNP2              = 26, 27
)

var (
	linkProtocols = map[string]uint32{
		"ip": etherIP, "ip6": etherIPv6, "arp": etherARP, "rarp": etherRARP, "atalk": etherAtalk, "aarp": etherAARP,
		"decnet": etherDECnet, "sca": etherSCA, "lat": etherLAT, "mopdl": etherMOPDL, "moprc": etherMOPRC,
		"iso": sapISO, "stp": sapSTP, "ipx": sapIPX, "netbeui": sapNetBEUI,
	}
	ipProtocols = map[string]uint32{
		"tcp": protocolTCP, "udp": protocolUDP, "sctp": protocolSCTP, "ah": protocolAH, "esp": protocolESP, "pim": protocolPIM,
	}
	ip4Protocols = map[string]uint32{
		"icmp": protocolICMP, "igmp": protocolIGMP, "igrp": protocolIGRP, "vrrp": protocolVRRP, "carp": protocolVRRP,
	}
	osiProtocols = map[string]uint32{"clnp": osiCLNP, "esis": osiESIS, "isis": osiISIS}

	isisPackets = map[string][]uint32{
		"l1":   {isisPSNP1, isisCSNP1, isisLSP1, isisHello1, isisHello},
		"l2":   {isisPSNP2, isisCSNP2, isisLSP2, isisHello2, isisHello},
		"iih":  {isisHello, isisHello1, isisHello2},
		"lsp":  {isisLSP1, isisLSP2},
		"snp":  {isisPSNP2, isisPSNP1, isisCSNP1, isisCSNP2},
		"csnp": {isisCSNP1, isisCSNP2},
		"psnp": {isisPSNP1, isisPSNP2},
	}
)

// abbreviation is a protocol by itself, which matches all its packets.
type abbreviation struct{ word token }

func (n abbreviation) condition(g *generator) *condition {
	g.word = n.word
	return g.notFutile(g.protocol(n.word.word))
}

// protocol is the test for a protocol by its keyword.
func (g *generator) protocol(name string) *condition {
	if number, ok := linkProtocols[name]; ok {
		return g.carries(number)
	}
	if number, ok := ipProtocols[name]; ok {
		return or(g.ip6Protocol(number), g.ipProtocol(number))
	}
	if number, ok := ip4Protocols[name]; ok {
		return g.ipProtocol(number)
	}
	if number, ok := osiProtocols[name]; ok {
		return g.osiProtocol(number)
	}
	if packets, ok := isisPackets[name]; ok {
		var matches *condition
		for _, packet := range packets {
			matches = or(matches, g.isisPacket(packet))
		}
		return matches
	}
	if name == "icmp6" {
		return g.ip6Protocol(protocolICMPv6)
	}
	panic(g.refuse("is not a protocol by itself"))
}

func (g *generator) ipProtocol(number uint32) *condition {
	return and(g.carries(etherIP), g.at(g.networkAt(9), 1, equal, number))
}

// ip6Protocol looks after one fragment header, too.
func (g *generator) ip6Protocol(number uint32) *condition {
	next := g.networkAt(6)
	return and(g.carries(etherIPv6), or(g.at(next, 1, equal, number),
		and(g.at(next, 1, equal, fragment), g.at(g.networkAt(40), 1, equal, number))))
}

func (g *generator) osiProtocol(number uint32) *condition {
	return and(g.carries(sapISO), g.at(g.osiAt(0), 1, equal, number))
}

func (g *generator) isisPacket(number uint32) *condition {
	return and(g.osiProtocol(osiISIS), g.at(g.osiAt(4), 1, equal, number))
}

// osiAt is a position in a header of OSI: after 802.2, without SNAP.
func (g *generator) osiAt(k uint32) position {
	if g.link == linkTypeCiscoHDLC {
		k++ // a byte of padding
	}
	return g.payload.plus(g.plain + k)
}

// protocolNumber is the test of "proto": the number of a protocol within another one.
func (g *generator) protocolNumber(number uint32, within string) *condition {
	limit := func(most uint32) {
		if number > most {
			panic(g.refuse("is over %d", most))
		}
	}
	switch within {
	case "":
		limit(255)
		return or(g.ipProtocol(number), g.ip6Protocol(number))
	case "ip":
		limit(255)
		return g.ipProtocol(number)
	case "ip6":
		limit(255)
		return g.ip6Protocol(number)
	case "link":
		limit(65535)
		if number <= maxLength && g.hasLLC() {
			limit(255) // a service access point
		}
		return g.carries(number)
	case "iso":
		limit(255)
		return g.osiProtocol(number)
	case "isis":
		limit(31)
		return g.isisPacket(number)
	}
	panic(g.refuse("%q has no protocol field", within))
}

// hasLLC reports whether small numbers of link-layer protocols are those of 802.2.
func (g *generator) hasLLC() bool {
	return g.link == stream.LinkTypeEthernet || g.link == stream.LinkTypeLinuxSLL || isWiFi(g.link)
}

// protocolChain is the test of "protochain": the protocol after extension headers.
func (g *generator) protocolChain(number uint32, within string) *condition {
	if number > 255 {
		panic(g.refuse("is over 255"))
	}
	if g.payload.base != nil {
		panic(g.refuse("protochain does not work after headers of variable length"))
	}
	g.unoptimized = true
	chain := func(family string) *condition {
		header := g.values.constant(g.networkAt(0).k)
		has := g.values.intern(value{kind: chainValue, operator: family, a: header, k: number})
		return and(g.protocol(family), compare(has, equal, g.values.constant(1)))
	}
	switch within {
	case "ip", "ip6":
		return chain(within)
	case "":
		return or(chain("ip"), chain("ip6"))
	}
	panic(g.refuse("protochain is only for ip and ip6"))
}

// notFutile records the first word that no packet can fulfil.
func (g *generator) notFutile(c *condition) *condition {
	if g.futile == nil && simplify(c.decide(acceptPacket, rejectPacket), false) == rejectPacket {
		word := g.word
		g.futile = &word
	}
	return c
}
