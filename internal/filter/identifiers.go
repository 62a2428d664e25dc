package filter

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"pcap-replay/stream"
)

// identifier is an address, a name or a number with what qualifies it.
type identifier struct {
	qualifiers
	token  token
	mask   *token // net 10.0.0.0 mask 255.0.0.0
	length *token // net 10.0.0.0/8
}

func (n identifier) condition(g *generator) *condition {
	g.word = n.token
	return g.notFutile(n.test(g))
}

func (n identifier) test(g *generator) *condition {
	if n.mask != nil || n.length != nil && n.token.kind == tokenIPv4 {
		address, mask := n.network(g)
		return g.host(address, mask, n.qualifiers)
	}
	switch n.token.kind {
	case tokenName:
		return n.name(g)
	case tokenIPv6:
		return n.ipv6(g)
	case tokenMAC:
		if n.protocol != "link" || n.kind != "" && n.kind != "host" {
			panic(g.refuse("a MAC address needs \"ether host\""))
		}
		return g.etherHost(parseMAC(n.token.text), n.direction)
	case tokenIPv4:
		return n.ipv4(g)
	}
	switch number := n.token.number; n.kind {
	case "net":
		address, mask := leftJustified(number)
		return g.host(address, mask, n.qualifiers)
	case "", "host":
		if n.protocol == "decnet" {
			panic(g.refuse("wanted a DECnet address such as 10.15"))
		}
		return g.host(number, 0xffffffff, n.qualifiers)
	case "port", "portrange":
		return g.ports(number, number, n.transport(g), n.direction)
	case "proto":
		return g.protocolNumber(number, n.protocol)
	case "protochain":
		return g.protocolChain(number, n.protocol)
	}
	panic(g.refuse("gateway needs a host name"))
}

// leftJustified turns a short network number, such as 10 or 192.168, into an
// address and the mask that it stands for.
func leftJustified(number uint32) (address, mask uint32) {
	mask = 0xffffffff
	for number != 0 && number>>24 == 0 {
		number, mask = number<<8, mask<<8
	}
	return number, mask
}

// parseIPv4 reads an address of two to four numbers; bits is how many of the 32
// they give.
func (g *generator) parseIPv4(t token) (address uint32, bits int) {
	for part := range strings.SplitSeq(t.text, ".") {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			panic(t.refuse("is not an IPv4 address"))
		}
		address, bits = address<<8|uint32(n), bits+8
	}
	return address, bits
}

func (n identifier) ipv4(g *generator) *condition {
	if n.protocol == "decnet" {
		return g.decnetHost(n.decnetAddress(g), n.direction)
	}
	address, mask := n.address4(g)
	return g.host(address, mask, n.qualifiers)
}

// address4 is an IPv4 address or network, and the mask that it stands for.
func (n identifier) address4(g *generator) (address, mask uint32) {
	if n.mask != nil || n.length != nil {
		return n.network(g)
	}
	address, bits := g.parseIPv4(n.token)
	switch n.kind {
	case "", "host", "net":
		return address << (32 - bits), 0xffffffff << (32 - bits)
	case "gateway":
		panic(g.refuse("gateway needs a host name"))
	}
	panic(g.refuse("%s cannot be used with an IPv4 address", n.kind))
}

// network is an IPv4 network with its mask.
func (n identifier) network(g *generator) (address, mask uint32) {
	address, bits := g.parseIPv4(n.token)
	address <<= 32 - bits
	if n.mask != nil {
		given, bits := g.parseIPv4(*n.mask)
		mask = given << (32 - bits)
	} else {
		if n.length.number > 32 {
			panic(n.length.refuse("an IPv4 mask has at most 32 bits"))
		}
		mask = uint32(uint64(0xffffffff) << (32 - n.length.number))
	}
	if address&^mask != 0 {
		panic(g.refuse(reasonHostBits))
	}
	if n.kind != "net" {
		panic(g.refuse(reasonMask))
	}
	return address, mask
}

func (n identifier) ipv6(g *generator) *condition {
	address, bits := n.address6(g)
	return g.host6(address, bits, n.qualifiers)
}

// address6 is an IPv6 address or network, and how many of its bits count.
func (n identifier) address6(g *generator) (address netip.Addr, length int) {
	address, err := netip.ParseAddr(n.token.text)
	if err != nil {
		panic(g.refuse("is not an IPv6 address"))
	}
	bits := uint32(128)
	if n.length != nil {
		bits = n.length.number
	}
	if bits > 128 {
		panic(n.length.refuse("an IPv6 mask has at most 128 bits"))
	}
	if netip.PrefixFrom(address, int(bits)).Masked().Addr() != address {
		panic(g.refuse(reasonHostBits))
	}
	switch {
	case n.kind != "" && n.kind != "host" && n.kind != "net":
		panic(g.refuse("%s cannot be used with an IPv6 address", n.kind))
	case n.kind != "net" && bits != 128:
		panic(g.refuse(reasonMask))
	}
	return address, int(bits)
}

// parseMAC reads what macLength has recognized.
func parseMAC(text string) []byte {
	var address []byte
	grouped := strings.FieldsFunc(text, func(r rune) bool { return !isHex(byte(r)) })
	for _, group := range grouped {
		if len(group) < 4 {
			n, _ := strconv.ParseUint(group, 16, 8)
			address = append(address, byte(n))
			continue
		}
		for ; group != ""; group = group[2:] {
			n, _ := strconv.ParseUint(group[:2], 16, 8)
			address = append(address, byte(n))
		}
	}
	return address
}

// name is what a name stands for.
func (n identifier) name(g *generator) *condition {
	name := n.token.name()
	switch n.kind {
	case "net":
		number, ok := networkByName(name)
		if !ok {
			panic(g.refuse("no such network in /etc/networks"))
		}
		address, mask := leftJustified(number)
		return g.host(address, mask, n.qualifiers)
	case "", "host":
		return n.hostName(g, name)
	case "port":
		return n.namedPorts(g, name, name)
	case "portrange":
		return n.portRange(g, name)
	case "proto":
		return g.protocolNumber(n.protocolName(g, name), n.protocol)
	case "protochain":
		return g.protocolChain(n.protocolName(g, name), n.protocol)
	}
	return n.gateway(g, name)
}

// hostName looks in /etc/hosts, or /etc/ethers for ether host.
func (n identifier) hostName(g *generator, name string) *condition {
	switch n.protocol {
	case "link":
		address, ok := etherByName(name)
		if !ok {
			panic(g.refuse("no such host in /etc/ethers"))
		}
		return g.etherHost(address, n.direction)
	case "decnet":
		panic(g.refuse("wanted a DECnet address such as 10.15"))
	}
	addresses := hostsByName(name)
	var matches *condition
	for _, address := range addresses {
		switch {
		case address.Is4() && n.protocol != "ip6":
			v4 := address.As4()
			matches = or(matches, g.host(binary.BigEndian.Uint32(v4[:]), 0xffffffff, n.qualifiers))
		case address.Is6() && (n.protocol == "ip6" || n.protocol == ""):
			matches = or(matches, g.host6(address, 128, n.qualifiers))
		}
	}
	if matches == nil {
		panic(g.refuse("no such host in /etc/hosts; names are not looked up elsewhere"))
	}
	return matches
}

// transport returns the protocol whose ports are meant; 0 is any.
func (n identifier) transport(g *generator) uint32 {
	switch n.protocol {
	case "":
		return 0
	case "tcp", "udp", "sctp":
		return ipProtocols[n.protocol]
	}
	panic(g.refuse("%s has no ports", n.protocol))
}

// namedPorts is the test for services. Those that are known for a single protocol
// mean that one only; a range of such with different ones means any.
func (n identifier) namedPorts(g *generator, first, last string) *condition {
	wanted := n.transport(g)
	low, protocol, ok := serviceByName(first)
	high, other, alsoOK := serviceByName(last)
	if !ok || !alsoOK {
		panic(g.refuse("no such service in /etc/services"))
	}
	if protocol != other {
		protocol = 0
	}
	if wanted != 0 && protocol != 0 && wanted != protocol {
		panic(g.refuse("is not a service of %s", n.protocol))
	}
	return g.ports(min(low, high), max(low, high), max(protocol, wanted), n.direction)
}

// portRange reads 6000-6008, or names with a hyphen between them.
func (n identifier) portRange(g *generator, text string) *condition {
	for at := range len(text) {
		if text[at] != '-' || at == 0 || at == len(text)-1 {
			continue
		}
		_, _, firstOK := serviceByName(text[:at])
		_, _, lastOK := serviceByName(text[at+1:])
		if firstOK && lastOK { // or the hyphen belongs to a name
			return n.namedPorts(g, text[:at], text[at+1:])
		}
	}
	return n.namedPorts(g, text, text)
}

func (n identifier) protocolName(g *generator, name string) uint32 {
	var number uint32
	var ok bool
	switch n.protocol {
	case "", "ip", "ip6":
		number, ok = protocolByName(name)
	case "link":
		number, ok = linkProtocolByName(name)
	case "iso":
		number, ok = osiProtocols[name]
	default:
		panic(g.refuse("%s has no protocols with names", n.protocol))
	}
	if !ok {
		panic(g.refuse("no such protocol"))
	}
	return number
}

// linkProtocolByName knows some more than have a keyword.
func linkProtocolByName(name string) (number uint32, ok bool) {
	if number, ok = linkProtocols[name]; ok {
		return number, true
	}
	number, ok = map[string]uint32{"loopback": 0x9000, "lldp": 0x88cc, "slow": 0x8809}[name]
	return number, ok
}

// gateway is for packets that a host has forwarded: its MAC address, but not
// its IPv4 address.
func (n identifier) gateway(g *generator, name string) *condition {
	carriers := []string{n.protocol}
	switch n.protocol {
	case "":
		carriers = []string{"ip", "arp", "rarp"}
	case "ip", "arp", "rarp":
	default:
		panic(g.refuse("gateway cannot be used with %s", n.protocol))
	}
	if g.labels > 0 || g.tunnelled {
		panic(g.refuse("gateway cannot be used within mpls, geneve and vxlan"))
	}
	address, ok := etherByName(name)
	if !ok {
		panic(g.refuse("no such host in /etc/ethers"))
	}
	var forwarded *condition
	for _, carrier := range carriers {
		var own *condition
		for _, address := range hostsByName(name) {
			if address.Is4() {
				v4 := address.As4()
				own = or(own, g.host(binary.BigEndian.Uint32(v4[:]), 0xffffffff, qualifiers{protocol: carrier}))
			}
		}
		if own == nil {
			panic(g.refuse("no such host with an IPv4 address in /etc/hosts"))
		}
		forwarded = or(forwarded, and(g.protocol(carrier), not(own)))
	}
	return and(g.etherHost(address, ""), forwarded)
}

// both joins the test of the source and that of the destination as a direction
// asks for.
func (g *generator) both(direction string, source, destination func() *condition) *condition {
	switch direction {
	case "src":
		return source()
	case "dst":
		return destination()
	case "src and dst":
		return and(source(), destination())
	case "", "src or dst":
		return or(source(), destination())
	}
	panic(g.refuse("%s is only for MAC addresses of 802.11", direction))
}

// host is the test for an IPv4 address or network.
func (g *generator) host(address, mask uint32, q qualifiers) *condition {
	return g.hosts(q, func(at position) *condition { return g.maskedAt(at, 4, mask, address) })
}

// hosts is the test for IPv4 addresses, of which wanted is one.
func (g *generator) hosts(q qualifiers, wanted func(at position) *condition) *condition {
	test := func(protocol, source, destination uint32) *condition {
		end := func(k uint32) func() *condition {
			return func() *condition { return and(g.carries(protocol), wanted(g.networkAt(k))) }
		}
		return g.both(q.direction, end(source), end(destination))
	}
	switch q.protocol {
	case "":
		matches := test(etherIP, 12, 16)
		if g.labels == 0 {
			matches = or(matches, test(etherARP, 14, 24), test(etherRARP, 14, 24))
		}
		return matches
	case "ip":
		return test(etherIP, 12, 16)
	case "arp":
		return test(etherARP, 14, 24)
	case "rarp":
		return test(etherRARP, 14, 24)
	}
	if q.protocol == "link" {
		panic(g.refuse("wanted a MAC address such as 1:2:3:4:5:6"))
	}
	panic(g.refuse("%s cannot be used with an IPv4 address", q.protocol))
}

// host6 is the test for an IPv6 address or network.
func (g *generator) host6(address netip.Addr, bits int, q qualifiers) *condition {
	bytes := address.As16()
	return g.hosts6(q, func(at position) (all *condition) {
		for word := range 4 {
			mask := uint32(uint64(0xffffffff) << (32 - min(max(bits-32*word, 0), 32)))
			want := binary.BigEndian.Uint32(bytes[4*word:])
			all = and(all, g.maskedAt(at.plus(4*uint32(word)), 4, mask, want))
		}
		return all
	})
}

// hosts6 is the test for IPv6 addresses, of which wanted is one.
func (g *generator) hosts6(q qualifiers, wanted func(at position) *condition) *condition {
	if q.protocol != "" && q.protocol != "ip6" {
		panic(g.refuse("%s cannot be used with an IPv6 address", q.protocol))
	}
	end := func(k uint32) func() *condition {
		return func() *condition { return and(g.carries(etherIPv6), wanted(g.networkAt(k))) }
	}
	return g.both(q.direction, end(8), end(24))
}

// etherHost is the test for a MAC address.
func (g *generator) etherHost(address []byte, direction string) *condition {
	switch {
	case g.link == stream.LinkTypeEthernet:
		test := g.both(direction,
			func() *condition { return g.bytesAt(g.header.plus(6), address) },
			func() *condition { return g.bytesAt(g.header, address) })
		return and(g.hasLinkHeader(), test)
	case isWiFi(g.link):
		return g.wifiHost(address, direction)
	}
	panic(g.refuse("link type %s has no MAC addresses", g.link))
}

// ports is the test for a range of ports, which may be a single one. protocol 0
// is any of those that have ports.
func (g *generator) ports(first, last, protocol uint32, direction string) *condition {
	if last > 65535 {
		panic(g.refuse("a port is at most 65535"))
	}
	protocols := []uint32{protocol}
	if protocol == 0 {
		protocols = []uint32{protocolSCTP, protocolTCP, protocolUDP}
	}
	within := func(at position) func() *condition {
		return func() *condition {
			if first == last {
				return g.at(at, 2, equal, first)
			}
			return and(g.at(at, 2, greaterOrEqual, first), not(g.at(at, 2, greater, last)))
		}
	}
	of := func(protocolAt position, precondition *condition, source, destination position) *condition {
		var matches *condition
		for _, protocol := range protocols {
			matches = or(matches, and(g.at(protocolAt, 1, equal, protocol), precondition,
				g.both(direction, within(source), within(destination))))
		}
		return matches
	}
	return or(
		and(g.carries(etherIPv6), of(g.networkAt(6), nil, g.transport6At(0), g.transport6At(2))),
		and(g.carries(etherIP), of(g.networkAt(9), g.notLaterFragment(), g.transportAt(0), g.transportAt(2))),
	)
}

// decnetAddress reads area.node: six and ten bits.
func (n identifier) decnetAddress(g *generator) uint32 {
	area, node, _ := strings.Cut(n.token.text, ".")
	a, err := strconv.ParseUint(area, 10, 6)
	b, err2 := strconv.ParseUint(node, 10, 10)
	if err != nil || err2 != nil {
		panic(g.refuse("is not a DECnet address"))
	}
	if n.kind != "" && n.kind != "host" {
		panic(g.refuse("%s cannot be used with a DECnet address", n.kind))
	}
	return uint32(a<<10 | b)
}

// decnetHost looks into data packets with no or one byte of padding, with long
// or short headers. DECnet's numbers are little endian.
func (g *generator) decnetHost(address uint32, direction string) *condition {
	swapped := address>>8 | address&0xff<<8
	end := func(short, long uint32) func() *condition {
		return func() *condition {
			return and(g.carries(etherDECnet), or(
				and(g.maskedAt(g.networkAt(2), 1, 7, 2), g.at(g.networkAt(2+short), 2, equal, swapped)),
				or(and(g.maskedAt(g.networkAt(2), 2, 0xff07, 0x8102), g.at(g.networkAt(3+short), 2, equal, swapped)),
					or(and(g.maskedAt(g.networkAt(2), 1, 7, 6), g.at(g.networkAt(2+long), 2, equal, swapped)),
						and(g.maskedAt(g.networkAt(2), 2, 0xff07, 0x8106), g.at(g.networkAt(3+long), 2, equal, swapped)))),
			))
		}
	}
	return g.both(direction, end(3, 15), end(1, 7))
}
