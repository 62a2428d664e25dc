package filter

import (
	"slices"
	"strings"

	"pcap-replay/stream"
)

// isWiFi reports whether packets have a header of 802.11, maybe after one of the radio.
func isWiFi(link stream.LinkType) bool {
	return link == stream.LinkTypeIEEE80211 || hasRadio(link) || link == stream.LinkTypePPI
}

// hasRadio reports whether radio[0] means something.
func hasRadio(link stream.LinkType) bool {
	return link == stream.LinkTypePrismHeader || link == stream.LinkTypeIEEE80211RadioAVS || link == stream.LinkTypeIEEE80211Radio
}

// The frame control field of 802.11. The type has the bits 0x0c, the subtype 0xf0.
const (
	wifiTypes    = 0x0c
	wifiSubtypes = 0xf0

	wifiManagement = 0x00
	wifiControl    = 0x04
	wifiData       = 0x08
	wifiCTS        = 0xc0
	wifiACK        = 0xd0
	wifiQoS        = 0x80

	wifiToDS   = 0x01 // in the second byte
	wifiFromDS = 0x02
)

// control is the test for bits in the first byte of the frame control field.
func (g *generator) control(bits uint32) *condition { return g.at(g.header, 1, anyBit, bits) }

// way is the test for bits in the second byte: to or from a distribution system.
func (g *generator) way(bits uint32) *condition { return g.at(g.header.plus(1), 1, anyBit, bits) }

func (g *generator) isData() *condition {
	return and(not(g.control(wifiControl)), g.control(wifiData))
}

// wifiDestination tests the destination address, whose offset depends on the frame. Control
// frames have none.
func (g *generator) wifiDestination(at func(k uint32) *condition) *condition {
	return and(not(g.control(wifiControl)), or(
		and(not(g.control(wifiData)), at(4)),
		and(g.control(wifiData), or(and(not(g.way(wifiToDS)), at(4)), and(g.way(wifiToDS), at(16)))),
	))
}

func (g *generator) wifiSource(at func(k uint32) *condition) *condition {
	return and(not(g.control(wifiControl)), or(
		and(not(g.control(wifiData)), at(10)),
		and(g.control(wifiData), or(
			and(not(g.way(wifiFromDS)), at(10)),
			and(g.way(wifiFromDS), or(and(not(g.way(wifiToDS)), at(16)), and(g.way(wifiToDS), at(24)))),
		)),
	))
}

func (g *generator) wifiHost(address []byte, direction string) *condition {
	at := func(k uint32) *condition { return g.bytesAt(g.header.plus(k), address) }
	is := func(mask, k uint32) *condition { return g.maskedAt(g.header, 1, mask, k) }
	// hasSecond: all but the control frames CTS and ACK have a second address.
	hasSecond := func() *condition {
		return or(not(is(wifiTypes, wifiControl)), and(not(is(wifiSubtypes, wifiCTS)), not(is(wifiSubtypes, wifiACK))))
	}
	switch direction {
	case "addr1":
		return at(4)
	case "addr2":
		return and(hasSecond(), at(10))
	case "addr3":
		return and(not(is(wifiTypes, wifiControl)), at(16))
	case "addr4":
		return and(g.maskedAt(g.header.plus(1), 1, wifiToDS|wifiFromDS, wifiToDS|wifiFromDS), at(24))
	case "ra":
		return and(g.control(wifiData), at(4))
	case "ta":
		return and(g.control(wifiData), hasSecond(), at(10))
	}
	return g.both(direction,
		func() *condition { return g.wifiSource(at) },
		func() *condition { return g.wifiDestination(at) })
}

// wifiSubtypeNames are the subtypes of each type, in steps of 0x10 from 0; names
// with a comma between them are the same.
var wifiSubtypeNames = map[uint32][]string{
	wifiManagement: strings.Fields(`assocreq,assoc-req assocresp,assoc-resp reassocreq,reassoc-req
		reassocresp,reassoc-resp probereq,probe-req proberesp,probe-resp - - beacon atim disassoc,disassociation
		auth,authentication deauth,deauthentication`),
	wifiControl: strings.Fields(`- - - - - - - - bar ba ps-poll rts cts ack cf-end cf-end-ack`),
	wifiData: strings.Fields(`data data-cf-ack data-cf-poll data-cf-ack-poll null cf-ack cf-poll cf-ack-poll
		qos-data qos-data-cf-ack qos-data-cf-poll qos-data-cf-ack-poll qos - qos-cf-poll qos-cf-ack-poll`),
}

var wifiTypeNames = map[string]uint32{
	"mgt": wifiManagement, "management": wifiManagement, "ctl": wifiControl, "control": wifiControl, "data": wifiData,
}

var wifiWays = map[string]uint32{"nods": 0, "tods": 1, "fromds": 2, "dstods": 3}

// wifiSubtype looks a name up, ignoring case.
func wifiSubtype(kind uint32, name string) (subtype uint32, ok bool) {
	for n, names := range wifiSubtypeNames[kind] {
		if slices.Contains(strings.Split(names, ","), strings.ToLower(name)) && name != "-" {
			return uint32(n) << 4, true
		}
	}
	return 0, false
}

// wifiControlField is "wlan type", "wlan subtype" or "wlan dir": some bits of the
// frame control field.
type wifiControlField struct {
	word    token
	index   uint32 // of the byte
	mask, k uint32
}

func (n wifiControlField) condition(g *generator) *condition {
	g.word = n.word
	if !isWiFi(g.link) {
		panic(g.refuse("link type %s has no 802.11 header", g.link))
	}
	return g.maskedAt(g.header.plus(n.index), 1, n.mask, n.k)
}

// wlan parses a wifiControlField.
func (p *parser) wlan() node {
	field := wifiControlField{word: p.next()}
	t := p.peek()
	switch {
	case field.word.is("dir"):
		field.index, field.mask = 1, wifiToDS|wifiFromDS
		field.k = p.wifiValue(wifiWays, field.mask, "nods, tods, fromds, dstods")
	case field.word.is("type"):
		field.mask, field.k = wifiTypes, p.wifiValue(wifiTypeNames, wifiTypes, "mgt, ctl, data")
		if !p.skip("subtype") {
			break
		}
		names := map[string]uint32{}
		for n, same := range wifiSubtypeNames[field.k] {
			for name := range strings.SplitSeq(same, ",") {
				names[name] = uint32(n) << 4
			}
		}
		delete(names, "-")
		field.mask |= wifiSubtypes
		field.k |= p.wifiValue(names, wifiSubtypes, "a subtype")
	case t.kind == tokenName:
		field.mask = wifiTypes | wifiSubtypes
		for _, kind := range []uint32{wifiManagement, wifiControl, wifiData} {
			if subtype, ok := wifiSubtype(kind, t.name()); ok {
				p.at++
				field.k = kind | subtype
				return field
			}
		}
		panic(t.refuse("is not an 802.11 subtype"))
	default:
		p.unexpected("the name of a subtype")
	}
	return field
}

// wifiValue reads a name or a number within mask.
func (p *parser) wifiValue(names map[string]uint32, mask uint32, wanted string) uint32 {
	t := p.peek()
	switch t.kind {
	case tokenName:
		k, ok := names[strings.ToLower(t.name())]
		if !ok {
			panic(t.refuse("wanted %s or a number", wanted))
		}
		p.at++
		return k
	case tokenNumber:
		if t.number&^mask != 0 {
			panic(t.refuse("has bits outside %#x", mask))
		}
		p.at++
		return t.number
	}
	p.unexpected(wanted)
	return 0
}

// llcTypes are the values and masks of the control byte of 802.2.
var llcTypes = map[string]struct{ mask, k uint32 }{
	"s": {0x03, 0x01}, "u": {0x03, 0x03},
	"rr": {0x0f, 0x01}, "rnr": {0x0f, 0x05}, "rej": {0x0f, 0x09},
	"ui": {0xef, 0x03}, "ua": {0xef, 0x63}, "disc": {0xef, 0x43}, "dm": {0xef, 0x0f}, "sabme": {0xef, 0x6f},
	"test": {0xef, 0xe3}, "xid": {0xef, 0xaf}, "frmr": {0xef, 0x87},
}

// llcFrame is llc, with a kind of frame or without.
type llcFrame struct {
	word token
	kind string // i, or one of llcTypes, or ""
}

// llc parses an llcFrame after its word.
func (p *parser) llc(word token) node {
	t := p.peek()
	if t.kind != tokenName && !t.is("rnr") {
		return llcFrame{word: word}
	}
	kind := strings.ToLower(t.name())
	if _, ok := llcTypes[kind]; !ok && kind != "i" {
		panic(t.refuse("is not a type of LLC frame"))
	}
	p.at++
	return llcFrame{word: word, kind: kind}
}

func (n llcFrame) condition(g *generator) *condition {
	g.word = n.word
	var hasLLC *condition
	switch {
	case g.link == stream.LinkTypeEthernet: // a length, and no Netware after it
		hasLLC = and(not(g.at(g.typeAt, 2, greater, maxLength)), not(g.at(g.payload, 2, equal, 0xffff)))
	case isWiFi(g.link):
		hasLLC = g.isData()
	default:
		panic(g.refuse("link type %s has no 802.2 header", g.link))
	}
	control := g.payload.plus(2)
	switch n.kind {
	case "":
		return hasLLC
	case "i":
		return and(hasLLC, not(g.at(control, 1, anyBit, 1)))
	}
	frame := llcTypes[n.kind]
	return and(hasLLC, g.maskedAt(control, 1, frame.mask, frame.k))
}

// withPrologue puts the search for the headers of 802.11 before a condition that uses them.
// It runs for every packet, as in libpcap, so a packet that is too short for it is
// rejected.
func (g *generator) withPrologue(whole *condition) *condition {
	header, payload := g.values.register(headerRegister), g.values.register(payloadRegister)
	usesPayload := g.uses(payload)
	usesHeader := g.uses(header) || usesPayload && g.outer != stream.LinkTypeIEEE80211
	if !isWiFi(g.outer) {
		return whole
	}
	if usesPayload {
		g.unoptimized = true
		whole = and(g.findPayload(payload), whole)
	}
	if usesHeader {
		whole = and(g.findHeader(header), whole)
	}
	if g.link == stream.LinkTypePPI { // which may hold anything
		const littleEndianWiFi = uint32(stream.LinkTypeIEEE80211) << 24
		whole = and(g.at(position{k: 4}, 4, equal, littleEndianWiFi), whole)
	}
	return whole
}

// uses reports whether a value is part of another.
func (g *generator) uses(v *value) bool {
	for _, user := range g.values.made {
		if user.a == v || user.b == v {
			return true
		}
	}
	return false
}

// findHeader stores the offset of the 802.11 header, which is the length of the radio
// header.
func (g *generator) findHeader(header *value) *condition {
	littleEndian16 := func(k uint32) *value {
		high := g.values.arithmetic("<<", g.load(position{k: k + 1}, 1), g.values.constant(8))
		return g.values.arithmetic("|", high, g.load(position{k: k}, 1))
	}
	switch g.outer {
	case stream.LinkTypeIEEE80211Radio, stream.LinkTypePPI:
		return assign(header, littleEndian16(2))
	case stream.LinkTypeIEEE80211RadioAVS:
		return assign(header, g.load(position{k: 4}, 4))
	case stream.LinkTypePrismHeader: // which Linux may have filled with AVS
		const prismLength, avsMagic = 144, 0x80211000
		return or(
			and(g.maskedAt(position{}, 4, 0xfffff000, avsMagic), assign(header, g.load(position{k: 4}, 4))),
			assign(header, g.values.constant(prismLength)),
		)
	}
	return always
}

// findPayload stores the offset of the payload of 802.11: QoS adds two bytes, and some
// drivers pad to four bytes and say so in the radiotap header.
func (g *generator) findPayload(payload *value) *condition {
	start := g.values.constant(0)
	if g.outer != stream.LinkTypeIEEE80211 {
		start = g.values.register(headerRegister)
	}
	sum := func(v *value, k uint32) *value { return g.values.arithmetic("+", v, g.values.constant(k)) }
	bit := func(k uint32) *condition {
		return compare(g.values.load(start, 0, 1), anyBit, g.values.constant(k))
	}
	store := func(length uint32) *condition {
		end := sum(start, length)
		if g.link != stream.LinkTypeIEEE80211Radio {
			return assign(payload, end)
		}
		rounded := g.masked(sum(end, 3), ^uint32(3))
		return or(and(g.isPadded(), assign(payload, rounded)), assign(payload, end))
	}
	return or(
		and(bit(wifiData), not(bit(wifiControl)), or(and(bit(wifiQoS), store(26)), store(24))),
		assign(payload, sum(start, 24)),
	)
}

// isPadded reads the flags of a radiotap header, which is little endian.
func (g *generator) isPadded() *condition {
	const hasFlags, hasMore, hasTime, padded = 0x02000000, 0x00000080, 0x01000000, 0x20
	present := func(bit uint32) *condition { return g.at(position{k: 4}, 4, anyBit, bit) }
	flags := func(k uint32) *condition { return g.at(position{k: k}, 1, anyBit, padded) }
	return and(present(hasFlags), not(present(hasMore)),
		or(and(present(hasTime), flags(16)), and(not(present(hasTime)), flags(8))))
}
