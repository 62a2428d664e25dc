package filter

import "pcap-replay/stream"

// Link types that have no name in package stream.
const (
	linkTypePPPSerial stream.LinkType = 50
	linkTypePPPEther  stream.LinkType = 51
	linkTypeCiscoHDLC stream.LinkType = 104
)

// position is an offset into the packet: k bytes after base, which is nil for
// the beginning of the packet.
type position struct {
	base *value
	k    uint32
}

func (p position) plus(k uint32) position { return position{p.base, p.k + k} }

// layout has the offsets of the headers of a packet. vlan, mpls, pppoes, geneve and vxlan
// change it for everything that follows in the text.
type layout struct {
	link      stream.LinkType // of the innermost link-layer header
	header    position        // of the link-layer header
	typeAt    position        // of the field with the protocol
	payload   position        // of the payload of the link layer
	network   uint32          // behind payload: the network header, behind SNAP where SNAP is the rule
	plain     uint32          // behind payload: the network header where there is no SNAP header
	labels    int             // MPLS labels so far
	tunnelled bool            // within Geneve or VXLAN
	optional  bool            // the link-layer header may be missing: within Geneve
	raw       bool            // only the bytes are known
}

// Registers with the offsets of the headers of 802.11.
const (
	headerRegister  = 0
	payloadRegister = 1
	wifiRegisters   = 2
)

// newLayout returns the layout of a link type; what is not known is raw.
func newLayout(link stream.LinkType, v values) layout {
	fixed := func(typeAt, payload uint32) layout {
		return layout{link: link, typeAt: position{k: typeAt}, payload: position{k: payload}}
	}
	switch link {
	case stream.LinkTypeEthernet:
		l := fixed(12, 14)
		l.plain = 3 // the 802.2 header
		return l
	case stream.LinkTypeNull, stream.LinkTypeLoop:
		return fixed(0, 4)
	case stream.LinkTypePPP, linkTypePPPSerial, linkTypeCiscoHDLC:
		return fixed(2, 4)
	case linkTypePPPEther:
		return fixed(6, 8)
	case stream.LinkTypeRaw, stream.LinkTypeIPv4, stream.LinkTypeIPv6:
		return fixed(0, 0)
	case stream.LinkTypeLinuxSLL:
		return fixed(14, 16)
	case stream.LinkTypeLinuxSLL2:
		return fixed(0, 20)
	}
	l := layout{link: link, raw: true}
	if isWiFi(link) {
		l = layout{link: link, network: 8, plain: 3}
		l.typeAt = position{k: 24}
		l.payload = position{base: v.register(payloadRegister)}
		if link != stream.LinkTypeIEEE80211 {
			l.header = position{base: v.register(headerRegister)}
		}
	}
	return l
}

// The protocols of the link layer: an EtherType, or an LLC service access point if the
// field is a length of 802.3, which is at most 1500.
const (
	maxLength = 1500

	etherIP     = 0x0800
	etherARP    = 0x0806
	etherBridge = 0x6558 // transparent Ethernet bridging
	etherMOPDL  = 0x6001
	etherMOPRC  = 0x6002
	etherDECnet = 0x6003
	etherLAT    = 0x6004
	etherSCA    = 0x6007
	etherRARP   = 0x8035
	etherAtalk  = 0x809b
	etherAARP   = 0x80f3
	etherVLAN   = 0x8100
	etherIPX    = 0x8137
	etherIPv6   = 0x86dd
	etherMPLS   = 0x8847
	etherPPPoED = 0x8863
	etherPPPoES = 0x8864
	etherQinQ   = 0x88a8
	etherOldQ   = 0x9100

	sapIP      = 0x06
	sapSTP     = 0x42
	sapSNAP    = 0xaa
	sapIPX     = 0xe0
	sapNetBEUI = 0xf0
	sapISO     = 0xfe
)

// pppProtocols maps EtherTypes to the protocol numbers of PPP.
var pppProtocols = map[uint32]uint32{
	etherIP: 0x21, etherIPv6: 0x57, etherDECnet: 0x27, etherAtalk: 0x29, 0x0600: 0x25, sapISO: 0x23, sapSTP: 0x31, sapIPX: 0x2b,
}

const pppMPLS = 0x0281

// carries is the test for a protocol above the link layer.
func (g *generator) carries(protocol uint32) *condition {
	if g.labels > 0 {
		return g.mplsCarries(protocol)
	}
	switch g.link {
	case stream.LinkTypeEthernet:
		return g.etherCarries(protocol, not(g.at(g.typeAt, 2, greater, maxLength)))
	case stream.LinkTypeLinuxSLL:
		const ethernet802dot3, llc = 1, 4 // LINUX_SLL_P_802_3, LINUX_SLL_P_802_2
		if protocol == sapIPX {
			return or(g.isType(etherIPX), g.isType(ethernet802dot3),
				and(g.isType(llc), or(g.at(g.payload, 1, equal, sapIPX), g.snap(0, etherIPX))))
		}
		return g.etherCarries(protocol, g.isType(llc))
	case stream.LinkTypeLinuxSLL2:
		return g.isType(protocol)
	case linkTypeCiscoHDLC:
		if protocol == sapISO {
			protocol = sapISO<<8 | sapISO
		}
		return g.isType(protocol)
	case stream.LinkTypePPP, linkTypePPPSerial, linkTypePPPEther:
		if number, ok := pppProtocols[protocol]; ok {
			protocol = number
		}
		return g.isType(protocol)
	case stream.LinkTypeNull, stream.LinkTypeLoop:
		return g.familyIs(protocol)
	case stream.LinkTypeRaw, stream.LinkTypeIPv4, stream.LinkTypeIPv6:
		return g.rawCarries(protocol)
	}
	if isWiFi(g.link) {
		return and(g.isData(), g.llcCarries(protocol))
	}
	panic(g.refuse("link type %s is not supported: only tests of its bytes and its length are", g.link))
}

func (g *generator) isType(protocol uint32) *condition {
	return g.at(g.typeAt, 2, equal, protocol)
}

// etherCarries is the test for a protocol where the EtherType may be a length instead,
// followed by an 802.2 header.
func (g *generator) etherCarries(protocol uint32, hasLLC *condition) *condition {
	switch protocol {
	case sapISO, sapIP, sapNetBEUI: // both service access points
		return and(hasLLC, g.at(g.payload, 2, equal, protocol<<8|protocol))
	case sapIPX: // also in bare 802.3, and with SNAP
		return or(g.isType(etherIPX), and(hasLLC, or(g.snap(0, etherIPX),
			or(g.at(g.payload, 1, equal, sapIPX), g.at(g.payload, 2, equal, 0xffff)))))
	case etherAtalk:
		return or(g.isType(protocol), and(hasLLC, g.snap(0x080007, protocol)))
	case etherAARP:
		return or(g.isType(protocol), and(hasLLC, g.snap(0, protocol)))
	}
	if protocol <= maxLength {
		return and(hasLLC, g.at(g.payload, 1, equal, protocol))
	}
	return g.isType(protocol)
}

// snap is the test for an 802.2 header with a SNAP header.
func (g *generator) snap(organization, protocol uint32) *condition {
	return g.bytesAt(g.payload, []byte{
		sapSNAP, sapSNAP, 3, byte(organization >> 16), byte(organization >> 8), byte(organization),
		byte(protocol >> 8), byte(protocol),
	})
}

// llcCarries is the test for a protocol where there is always an 802.2 header.
func (g *generator) llcCarries(protocol uint32) *condition {
	switch {
	case protocol == sapIP, protocol == sapISO, protocol == sapNetBEUI:
		return g.at(g.payload, 2, equal, protocol<<8|protocol)
	case protocol == etherAtalk:
		return g.snap(0x080007, protocol)
	case protocol <= maxLength:
		return g.at(g.payload, 1, equal, protocol)
	}
	return g.at(g.payload.plus(6), 2, equal, protocol)
}

// familyIs is the test for a BSD address family. That of IPv6 differs between systems; the
// three that libpcap looks for in files are accepted. In NULL, the family is in the byte
// order of the capturing machine, so both byte orders are accepted.
func (g *generator) familyIs(protocol uint32) *condition {
	families := map[uint32][]uint32{etherIP: {2}, etherIPv6: {24, 28, 30}}[protocol]
	if families == nil {
		return never
	}
	var matches *condition
	for _, family := range families {
		matches = or(matches, g.at(g.header, 4, equal, family))
		if g.link == stream.LinkTypeNull {
			matches = or(matches, g.at(g.header, 4, equal, family<<24))
		}
	}
	return matches
}

// rawCarries distinguishes IPv4 from IPv6 by the version in the header.
func (g *generator) rawCarries(protocol uint32) *condition {
	switch {
	case g.link == stream.LinkTypeRaw && protocol == etherIP:
		return g.maskedAt(g.header, 1, 0xf0, 0x40)
	case g.link == stream.LinkTypeRaw && protocol == etherIPv6:
		return g.maskedAt(g.header, 1, 0xf0, 0x60)
	case g.link == stream.LinkTypeIPv4 && protocol == etherIP, g.link == stream.LinkTypeIPv6 && protocol == etherIPv6:
		return always
	}
	return never
}

// mplsCarries checks the bottom of the label stack and then the IP version.
func (g *generator) mplsCarries(protocol uint32) *condition {
	version := map[uint32]uint32{etherIP: 0x40, etherIPv6: 0x60}[protocol]
	if version == 0 {
		panic(g.refuse("within mpls, only IPv4 and IPv6 can be distinguished"))
	}
	return and(g.maskedAt(g.networkAt(0).plus(^uint32(1)), 1, 1, 1), g.maskedAt(g.networkAt(0), 1, 0xf0, version))
}
