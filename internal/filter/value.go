package filter

import "math"

// value is a number computed from a packet. Equal values are the same pointer, so a value
// that is computed twice is known to be the same.
type value struct {
	kind valueKind
	a, b *value // the operands of arithmetic; a is the base of a load, or nil
	// k is the constant, the register, the offset of a load after its base, or
	// the protocol to look for in a chain of headers.
	k        uint32
	size     uint32 // of a load: 1, 2 or 4 bytes
	operator string // of arithmetic; ip or ip6 of a chain
	set      *addressSet
	words    uint32 // of memory to compute it; follows from the others
}

type valueKind uint8

const (
	constantValue valueKind = iota
	wireLengthValue
	loadValue
	registerValue // what an assignment on the way here has stored, or 0
	arithmeticValue
	negatedValue
	chainValue  // 1 if a protocol stands in the chain of headers at a, else 0
	memberValue // 1 if the address of size bytes at k behind a is in the set, else 0
)

// values makes each value once.
type values struct {
	made map[value]*value
	// literal means that arithmetic is not optimized, in expressions that libpcap's
	// optimizer does not handle: all loads are made, whether they matter or not.
	literal bool
}

func (v values) intern(made value) *value {
	if known := v.made[made]; known != nil {
		return known
	}
	key := made
	made.words = made.countWords()
	v.made[key] = &made
	return &made
}

// countWords returns the number of words of memory that are needed to compute the value, if
// the operand that needs more words is computed first.
func (v *value) countWords() uint32 {
	switch {
	case v.a == nil || v.kind == chainValue:
		return 0
	case v.b == nil || v.b.loadsDirectly():
		return v.a.words
	}
	return max(v.a.words, v.b.words, min(v.a.words, v.b.words)+1)
}

func (v values) constant(k uint32) *value { return v.intern(value{kind: constantValue, k: k}) }
func (v values) register(k uint32) *value { return v.intern(value{kind: registerValue, k: k}) }

// member looks for an address at k behind base in a set.
func (v values) member(set *addressSet, base *value, k, size uint32) *value {
	return v.intern(value{kind: memberValue, set: set, a: base, k: k, size: size})
}

func (v values) wireLength() *value { return v.intern(value{kind: wireLengthValue}) }

// load reads size bytes, in network byte order, at k after base; nil is the
// beginning of the packet. Offsets known now wrap around at 32 bits, as in
// libpcap's optimizer: ip[-1] is the byte before the header.
func (v values) load(base *value, k, size uint32) *value {
	if base != nil && base.kind == arithmeticValue && base.operator == "+" && base.b.kind == constantValue && !v.literal && base.isOffset() {
		base, k = base.a, k+base.b.k
	}
	if base != nil && base.kind == constantValue && (!v.literal || k+base.k >= k) {
		base, k = nil, k+base.k
	}
	return v.intern(value{kind: loadValue, a: base, k: k, size: size})
}

// isOffset reports whether a constant added to a value may as well be added by a load,
// which does not wrap around: nor does the sum, or libpcap does so, too, after a
// header's length. After a register it adds first: ether[-1] is the byte before.
func (v *value) isOffset() bool {
	return v.limit() <= math.MaxUint32 || v.a.operator == "<<" && v.a.limit() <= maxHeaderLength
}

// maxHeaderLength is that of IPv4 and TCP headers, in bytes.
const maxHeaderLength = 60

// limit is the maximum of a value before it wraps around at 32 bits. Values that are not
// analysed may be anything and may wrap around.
func (v *value) limit() uint64 {
	const unknown = 1 << 32
	switch {
	case v.kind == constantValue:
		return uint64(v.k)
	case v.kind == loadValue && v.size < 4:
		return 1<<(8*v.size) - 1
	case v.kind != arithmeticValue:
		return unknown
	}
	a, b := v.a.limit(), v.b.limit()
	switch {
	case v.operator == "&":
		return min(a, b)
	case v.operator == "+":
		return min(a+b, unknown)
	case v.operator == "<<" && b < 32:
		return min(a<<b, unknown)
	}
	return unknown
}

func (v values) negated(a *value) *value {
	if a.kind == constantValue {
		return v.constant(-a.k)
	}
	return v.intern(value{kind: negatedValue, a: a})
}

// arithmetic computes in 32 bits. Constants are folded, so that a load whose result does
// not matter is not made. libpcap's optimizer does the same, and it decides whether a short
// packet matches.
func (v values) arithmetic(operator string, a, b *value) *value {
	if a.kind == constantValue && b.kind == constantValue {
		if result, ok := compute(operator, a.k, b.k); ok {
			return v.constant(result)
		}
	}
	if a.kind == constantValue && (operator == "+" || operator == "*" || operator == "&" || operator == "|" || operator == "^") {
		a, b = b, a
	}
	if b.kind == constantValue && !v.literal {
		switch {
		case b.k == 0 && (operator == "*" || operator == "&"):
			return b
		case b.k == 0 && operator != "/" && operator != "%":
			return a
		}
	}
	if a.kind == constantValue && a.k == 0 && operator != "-" && b.kind != constantValue && !v.literal {
		return a // /, %, << and >>
	}
	return v.intern(value{kind: arithmeticValue, operator: operator, a: a, b: b})
}

// compute is the arithmetic of the machine. ok is false for a division by 0.
func compute(operator string, a, b uint32) (result uint32, ok bool) {
	switch operator {
	case "+":
		return a + b, true
	case "-":
		return a - b, true
	case "*":
		return a * b, true
	case "&":
		return a & b, true
	case "|":
		return a | b, true
	case "^":
		return a ^ b, true
	case "<<":
		return a << b, true // 0 from 32 on
	case ">>":
		return a >> b, true
	}
	if b == 0 {
		return 0, false
	}
	if operator == "/" {
		return a / b, true
	}
	return a % b, true
}
