package filter

import "pcap-replay/stream"

// generator turns the tree of an expression into a condition for one link type. It walks
// through the tree in the order of the text.
type generator struct {
	values values
	layout
	outer     stream.LinkType // of the packet
	registers uint32          // words of memory in use
	word      token           // that is being generated, for errors
	futile    *token          // the first word that no packet can fulfil
	// unoptimized means that libpcap's optimizer does not handle the expression, so it does
	// not notice and refuse that it rejects all packets.
	unoptimized bool
	folded      *SyntaxError // refused by the optimizer
}

// node is a part of an expression that is true or false for a packet.
type node interface {
	condition(g *generator) *condition
}

// generate makes the condition of a whole expression. A literal one is not optimized.
func generate(tree node, link stream.LinkType, literal bool) (g *generator, whole *condition, err error) {
	defer recoverRefusal(&err)
	g = &generator{values: values{made: map[value]*value{}, literal: literal}, outer: link}
	g.layout = newLayout(link, g.values)
	if isWiFi(link) {
		g.registers = wifiRegisters
	}
	whole = g.withPrologue(tree.condition(g))
	switch {
	case g.unoptimized && !literal:
		return generate(tree, link, true)
	case g.folded != nil && !literal:
		return nil, nil, g.folded
	}
	return g, whole, nil
}

func (g *generator) refuse(format string, values ...any) *SyntaxError {
	return g.word.refuse(format, values...)
}

// load reads size bytes at a position.
func (g *generator) load(at position, size uint32) *value { return g.values.load(at.base, at.k, size) }

// at compares the size bytes at a position with k.
func (g *generator) at(at position, size uint32, r relation, k uint32) *condition {
	return compare(g.load(at, size), r, g.values.constant(k))
}

// maskedAt compares some bits of the size bytes at a position with k.
func (g *generator) maskedAt(at position, size, mask, k uint32) *condition {
	return compare(g.masked(g.load(at, size), mask), equal, g.values.constant(k))
}

func (g *generator) masked(v *value, mask uint32) *value {
	if mask == 0xffffffff {
		return v
	}
	return g.values.arithmetic("&", v, g.values.constant(mask))
}

// bytesAt compares bytes, beginning with the last four, as libpcap does.
func (g *generator) bytesAt(at position, want []byte) *condition {
	var all *condition
	for n := uint32(len(want)); n > 0; {
		size := uint32(4)
		for size > n {
			size /= 2
		}
		n -= size
		k := uint32(0)
		for _, b := range want[n : n+size] {
			k = k<<8 | uint32(b)
		}
		all = and(all, g.at(at.plus(n), size, equal, k))
	}
	return all
}

// networkAt is an offset in the network header.
func (g *generator) networkAt(k uint32) position { return g.payload.plus(g.network + k) }

// transportAt is an offset after the IPv4 header, which has a variable length.
func (g *generator) transportAt(k uint32) position {
	length := g.values.arithmetic("<<", g.masked(g.load(g.networkAt(0), 1), 0xf), g.values.constant(2))
	if g.payload.base != nil {
		length = g.values.arithmetic("+", length, g.payload.base)
	}
	return position{length, g.payload.k + g.network + k}
}

// transport6At is an offset after an IPv6 header without extension headers.
func (g *generator) transport6At(k uint32) position { return g.networkAt(40 + k) }

// notLaterFragment is true for IPv4 packets that begin with a transport header.
func (g *generator) notLaterFragment() *condition {
	return not(g.at(g.networkAt(6), 2, anyBit, 0x1fff))
}

// newRegister reserves a word of memory.
func (g *generator) newRegister() *value {
	if g.registers == memoryWords {
		panic(g.refuse("needs more than %d words of memory", memoryWords))
	}
	g.registers++
	return g.values.register(g.registers - 1)
}

// logical is two joined conditions.
type logical struct {
	or          bool
	left, right node
}

func (n logical) condition(g *generator) *condition {
	left := n.left.condition(g)
	right := n.right.condition(g)
	if n.or {
		return or(left, right)
	}
	return and(left, right)
}

type negation struct{ node node }

func (n negation) condition(g *generator) *condition { return not(n.node.condition(g)) }
