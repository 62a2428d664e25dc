package filter

import "slices"

// assembler turns decisions into instructions. It knows what the accumulator and
// the index register hold wherever a decision begins, and loads nothing twice.
type assembler struct {
	code   []instruction
	start  map[*decision]uint32 // index of its first instruction
	before map[*decision]state  // state that is the same on all paths to a decision
	state  state
	free   uint32 // the first word of memory that is not in use
	full   bool   // more words were needed than there are
	sets   []*addressSet
}

// state is the contents of the registers; nil means unknown.
type state struct{ a, x *value }

// jump is patched when the start of each decision is known.
type jump struct {
	instruction int
	yes, no     *decision
}

// assemble makes the program. registers is the number of words of memory that are in use.
// ok is false if the rest is not enough for intermediate results.
func assemble(root *decision, registers uint32) (program *Program, ok bool) {
	s := &assembler{start: map[*decision]uint32{}, before: map[*decision]state{}, free: registers}
	var jumps []jump
	for _, d := range inOrder(root) {
		s.start[d], s.state = uint32(len(s.code)), s.before[d]
		if d.isTest() {
			s.emit(s.comparison(d.test))
		} else {
			s.toA(d.assigned)
			s.emit(instruction{do: st, k: d.register})
			s.emit(instruction{do: ja})
		}
		jumps = append(jumps, jump{len(s.code) - 1, d.yes, d.no})
		s.leadTo(d.yes)
		s.leadTo(d.no)
	}
	s.start[acceptPacket] = uint32(len(s.code))
	s.emit(instruction{do: retK, k: 1})
	s.start[rejectPacket] = uint32(len(s.code))
	s.emit(instruction{do: retK, k: 0})
	for _, j := range jumps {
		s.code[j.instruction].yes = s.start[j.yes]
		if j.no != nil {
			s.code[j.instruction].no = s.start[j.no]
		}
	}
	if root.isOutcome() {
		s.code = s.code[s.start[root]:]
	}
	return &Program{code: fuse(s.code), sets: s.sets}, !s.full
}

// leadTo records the state in which a decision is reached.
func (s *assembler) leadTo(d *decision) {
	if d == nil || d.isOutcome() {
		return
	}
	agreed, reached := s.before[d]
	if !reached {
		agreed = s.state
	}
	if agreed.a != s.state.a {
		agreed.a = nil
	}
	if agreed.x != s.state.x {
		agreed.x = nil
	}
	s.before[d] = agreed
}

func (s *assembler) emit(i instruction) { s.code = append(s.code, i) }

// comparison loads the operands of a test and returns its jump.
func (s *assembler) comparison(t test) instruction {
	if t.right.kind == constantValue {
		s.toA(t.left)
		return instruction{do: jeqK + opcode(t.relation), k: t.right.k}
	}
	s.both(t.left, t.right)
	return instruction{do: jeqX + opcode(t.relation)}
}

// toA computes a value in the accumulator.
func (s *assembler) toA(v *value) {
	if s.state.a == v {
		return
	}
	switch v.kind {
	case constantValue:
		s.emit(instruction{do: ldK, k: v.k})
	case wireLengthValue:
		s.emit(instruction{do: ldLength})
	case registerValue:
		s.emit(instruction{do: ldMemory, k: v.k})
	case loadValue:
		do := map[uint32]opcode{1: ldB, 2: ldH, 4: ldW}[v.size]
		if v.a != nil {
			s.toX(v.a)
			do += ldIndexB - ldB
		}
		s.emit(instruction{do: do, k: v.k})
	case memberValue:
		do := memberOf
		if v.a != nil {
			s.toX(v.a)
			do = memberOfIndex
		}
		s.emit(instruction{do: do, k: v.k, offset: v.size, mask: s.setNumber(v.set)})
	case negatedValue:
		s.toA(v.a)
		s.emit(instruction{do: neg})
	case arithmeticValue:
		do := arithmeticOpcodes[v.operator]
		if v.b.kind == constantValue {
			s.toA(v.a)
			s.emit(instruction{do: do, k: v.b.k})
			break
		}
		s.both(v.a, v.b)
		s.emit(instruction{do: do + addX - addK})
	case chainValue:
		do := chain4
		if v.operator == "ip6" {
			do = chain6
		}
		s.emit(instruction{do: do, k: v.k, offset: v.a.k})
	}
	s.state.a = v
}

var arithmeticOpcodes = map[string]opcode{
	"+": addK, "-": subK, "*": mulK, "/": divK, "%": modK, "&": andK, "|": orK, "^": xorK, "<<": lshK, ">>": rshK,
}

// setNumber is the place of a set among those of the program.
func (s *assembler) setNumber(set *addressSet) uint32 {
	at := slices.Index(s.sets, set)
	if at < 0 {
		at = len(s.sets)
		s.sets = append(s.sets, set)
	}
	return uint32(at)
}

// both computes left in the accumulator and right in the index register.
func (s *assembler) both(left, right *value) {
	if right.loadsDirectly() || s.state.x == right && !left.usesX() {
		s.toA(left)
		s.toX(right)
		return
	}
	// The operand that needs more words of memory is computed first, while the other needs
	// none. A long sum then needs one word, whether it is nested to the left or to the
	// right.
	first, second := right, left
	if left.words > right.words {
		first, second = left, right
	}
	s.toA(first)
	word := s.free
	s.full = s.full || word >= memoryWords
	s.emit(instruction{do: st, k: word})
	s.free++
	s.toA(second)
	s.free--
	if second == left {
		s.emit(instruction{do: ldxMemory, k: word})
	} else {
		s.emit(instruction{do: tax})
		s.emit(instruction{do: ldMemory, k: word})
	}
	s.state = state{left, right}
}

// toX computes a value into the index register. If it can load it directly, it does not
// change the accumulator.
func (s *assembler) toX(v *value) {
	if s.state.x == v {
		return
	}
	header, isHeader := v.headerOffset()
	switch {
	case v.kind == constantValue:
		s.emit(instruction{do: ldxK, k: v.k})
	case v.kind == wireLengthValue:
		s.emit(instruction{do: ldxLength})
	case v.kind == registerValue:
		s.emit(instruction{do: ldxMemory, k: v.k})
	case isHeader:
		s.emit(instruction{do: ldxHeader, k: header})
	default:
		s.toA(v)
		s.emit(instruction{do: tax})
	}
	s.state.x = v
}

// loadsDirectly reports whether toX keeps the accumulator unchanged.
func (v *value) loadsDirectly() bool {
	_, isHeader := v.headerOffset()
	return v.kind == constantValue || v.kind == wireLengthValue || v.kind == registerValue || isHeader
}

// usesX reports whether the computation of the value changes the index register.
func (v *value) usesX() bool {
	switch v.kind {
	case loadValue, memberValue:
		return v.a != nil
	case negatedValue:
		return v.a.usesX()
	case arithmeticValue:
		return v.b.kind != constantValue || v.a.usesX()
	}
	return false
}

// headerOffset recognizes the length of an IPv4 header in bytes, for which there is an
// instruction: 4 * (packet[offset] & 0xf).
func (v *value) headerOffset() (offset uint32, ok bool) {
	if v.kind != arithmeticValue || v.operator != "<<" || v.b.kind != constantValue || v.b.k != 2 {
		return 0, false
	}
	low := v.a
	if low.kind != arithmeticValue || low.operator != "&" || low.b.kind != constantValue || low.b.k != 0xf {
		return 0, false
	}
	return low.a.k, low.a.kind == loadValue && low.a.size == 1 && low.a.a == nil
}

// fuse replaces a load, a mask and a jump by one instruction. The replaced instructions
// remain after it, because jumps may lead to them.
func fuse(code []instruction) []instruction {
	for at := range code {
		load := &code[at]
		if load.do < ldB || load.do > ldIndexW || at+1 == len(code) {
			continue
		}
		next, mask := code[at+1], uint32(0xffffffff)
		if next.do == andK && at+2 < len(code) {
			next, mask = code[at+2], next.k
		}
		if next.do != jeqK {
			continue
		}
		*load = instruction{do: load.do - ldB + ldBJeq, yes: next.yes, no: next.no, k: next.k, offset: load.k, mask: mask}
	}
	return code
}
