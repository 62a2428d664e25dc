package filter

import "cmp"

// operand is a part of an expression that is a number. check is the condition under which
// the number is valid, or nil.
type operand interface {
	value(g *generator) (v *value, check *condition)
}

// number is a constant.
type number uint32

func (o number) value(g *generator) (*value, *condition) { return g.values.constant(uint32(o)), nil }

// wireLength is len, the length of the packet on the wire and not of its captured bytes.
type wireLength struct{}

func (wireLength) value(g *generator) (*value, *condition) { return g.values.wireLength(), nil }

type minus struct{ operand operand }

func (o minus) value(g *generator) (*value, *condition) {
	v, check := o.operand.value(g)
	return g.values.negated(v), check
}

type operation struct {
	operator    token
	left, right operand
}

// value ignores the check of the right operand, as libpcap does: "len - ip[2:2] > 14" does
// not test for IP.
func (o operation) value(g *generator) (*value, *condition) {
	left, check := o.left.value(g)
	right, _ := o.right.value(g)
	if refusal := o.refusal(right); refusal != nil {
		if _, isNumber := o.right.(number); isNumber {
			panic(refusal)
		}
		g.folded = cmp.Or(g.folded, refusal)
	}
	return g.values.arithmetic(o.operator.word, left, right), check
}

// refusal returns what is wrong with a constant right operand.
func (o operation) refusal(right *value) (refusal *SyntaxError) {
	word := o.operator.word
	switch {
	case right.kind != constantValue:
	case right.k == 0 && (word == "/" || word == "%"):
		refusal = o.operator.refuse("division by zero")
	case right.k > 31 && (word == "<<" || word == ">>"):
		refusal = o.operator.refuse("shift by more than 31 bits")
	}
	if refusal != nil {
		refusal.constant = true
	}
	return refusal
}

// field is protocol[offset:size].
type field struct {
	protocol token
	offset   operand
	size     uint32
}

func (o field) value(g *generator) (*value, *condition) {
	offset, check := o.offset.value(g)
	g.word = o.protocol
	at := func(p position) *value {
		base := offset
		if p.base != nil {
			base = g.values.arithmetic("+", p.base, offset)
		}
		return g.values.load(base, p.k, o.size)
	}
	switch protocol := o.protocol.word; protocol {
	case "link":
		return at(g.header), check
	case "radio":
		if !hasRadio(g.link) {
			panic(g.refuse("link type %s has no radio header", g.link))
		}
		return at(position{}), check
	case "ip", "ip6", "arp", "rarp", "atalk", "decnet", "sca", "lat", "moprc", "mopdl":
		return at(g.networkAt(0)), and(check, g.protocol(protocol))
	case "tcp", "udp", "sctp", "icmp", "igmp", "igrp", "pim", "vrrp", "carp":
		return at(g.transportAt(0)), and(g.protocol("ip"), check, g.protocol(protocol), g.notLaterFragment())
	case "icmp6":
		return at(g.transport6At(0)), and(check, g.protocol("ip6"), g.at(g.networkAt(6), 1, equal, protocolICMPv6))
	}
	panic(g.refuse("has no fields"))
}

type comparison struct {
	operator    string
	left, right operand
}

func (n comparison) condition(g *generator) *condition {
	left, check := n.left.value(g)
	right, alsoCheck := n.right.value(g)
	var holds *condition
	switch n.operator {
	case "=":
		holds = compare(left, equal, right)
	case "!=":
		holds = not(compare(left, equal, right))
	case ">":
		holds = compare(left, greater, right)
	case "<=":
		holds = not(compare(left, greater, right))
	case ">=":
		holds = compare(left, greaterOrEqual, right)
	case "<":
		holds = not(compare(left, greaterOrEqual, right))
	}
	return and(check, alsoCheck, holds)
}

// lengthLimit is less or greater. Both include the limit itself.
type lengthLimit struct {
	less  bool
	limit uint32
}

func (n lengthLimit) condition(g *generator) *condition {
	limit := g.values.constant(n.limit)
	if n.less {
		return not(compare(g.values.wireLength(), greater, limit))
	}
	return compare(g.values.wireLength(), greaterOrEqual, limit)
}

// byteTest is "byte 8 = 5", an older way to write link[8] = 5.
type byteTest struct {
	index    uint32
	operator string
	argument uint32
}

func (n byteTest) condition(g *generator) *condition {
	at := g.header.plus(n.index)
	switch n.operator {
	case "=":
		return g.at(at, 1, equal, n.argument)
	case "<":
		return not(g.at(at, 1, greaterOrEqual, n.argument))
	case ">":
		return g.at(at, 1, greater, n.argument)
	}
	zero := g.values.constant(0)
	return not(compare(g.values.arithmetic(n.operator, g.load(at, 1), g.values.constant(n.argument)), equal, zero))
}
