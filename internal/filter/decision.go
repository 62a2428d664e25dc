package filter

import "slices"

// decision is a node of the graph that a condition becomes: a test with its two successors,
// an assignment with one successor, or one of the two outcomes. The graph has no cycles.
type decision struct {
	test    test
	yes, no *decision

	assigned *value // to register; its successor is yes
	register uint32
}

var acceptPacket, rejectPacket = &decision{}, &decision{}

func (d *decision) isOutcome() bool { return d == acceptPacket || d == rejectPacket }
func (d *decision) isTest() bool    { return d.test.left != nil }

// decide turns a condition into decisions that end in yes or no.
func (c *condition) decide(yes, no *decision) *decision {
	switch c.kind {
	case alwaysCondition:
		return yes
	case neverCondition:
		return no
	case andCondition:
		return c.a.decide(c.b.decide(yes, no), no)
	case orCondition:
		return c.a.decide(yes, c.b.decide(yes, no))
	case notCondition:
		return c.a.decide(no, yes)
	case assignCondition:
		return &decision{assigned: c.value, register: c.k, yes: yes}
	}
	return &decision{test: c.test, yes: yes, no: no}
}

// simplify removes every test whose outcome is known from the tests on all paths to it,
// because its values have been loaded before. It also removes tests that do not matter,
// together with their loads, except the first one. libpcap's optimizer does the same, and
// this decides about packets that are too short for these loads.
func simplify(root *decision, keepFirst bool) *decision {
	for changed := true; changed; {
		s := newSimplifier(root)
		s.visit(root)
		s.passOverIdle(root)
		if next := s.follow(root); next != root && (!keepFirst || next.isOutcome()) {
			root, s.changed = next, true
		}
		changed = s.changed
	}
	return root
}

// inOrder lists the decisions that root leads to, each before its successors, without the
// outcomes.
func inOrder(root *decision) []*decision {
	var backwards []*decision
	seen := map[*decision]bool{}
	var visit func(*decision)
	visit = func(d *decision) {
		if d == nil || d.isOutcome() || seen[d] {
			return
		}
		seen[d] = true
		visit(d.no)
		visit(d.yes)
		backwards = append(backwards, d)
	}
	visit(root)
	slices.Reverse(backwards)
	return backwards
}

// simplifier has the dominator tree of the decisions and walks through it.
type simplifier struct {
	places   map[*decision]*place
	constant map[*value]uint32 // values known to equal a constant
	outcome  map[test]bool
	changed  bool
}

// place is the position of a decision in the dominator tree. A decision dominates another
// if every path to the other passes through it.
type place struct {
	entries     []*decision // that lead to the decision
	children    []*decision
	above       *place // nil for the root
	far         *place // further up, so that meet takes few steps
	depth       int
	first, last int // its number, and the first number after those that it dominates
}

func newSimplifier(root *decision) *simplifier {
	s := &simplifier{places: map[*decision]*place{}, constant: map[*value]uint32{}, outcome: map[test]bool{}}
	order := inOrder(root)
	for _, d := range order {
		s.places[d] = &place{}
	}
	for _, d := range order {
		here := s.places[d]
		here.settle(s.places)
		if here.above != nil {
			here.above.children = append(here.above.children, d)
		}
		for _, next := range []*decision{d.yes, d.no} {
			if next != nil && !next.isOutcome() {
				s.places[next].entries = append(s.places[next].entries, d)
			}
		}
	}
	s.number(root, 0)
	return s
}

// settle finds the position below the deepest common dominator of all entries. The far
// pointers make the way up a skip list (Myers, "An applicative random-access stack", 1983).
func (p *place) settle(places map[*decision]*place) {
	if len(p.entries) == 0 {
		p.far = p
		return
	}
	p.above = places[p.entries[0]]
	for _, entry := range p.entries[1:] {
		p.above = meet(p.above, places[entry])
	}
	p.depth, p.far = p.above.depth+1, p.above
	if far := p.above.far; p.above.depth-far.depth == far.depth-far.far.depth {
		p.far = far.far
	}
}

// meet returns the deepest position that is above or equal to both.
func meet(a, b *place) *place {
	if a.depth < b.depth {
		a, b = b, a
	}
	for a.depth > b.depth {
		if a.far.depth >= b.depth {
			a = a.far
		} else {
			a = a.above
		}
	}
	for a != b {
		if a.far != b.far {
			a, b = a.far, b.far
		} else {
			a, b = a.above, b.above
		}
	}
	return a
}

// number numbers the decisions so that those which a decision dominates follow it. It
// returns the next free number.
func (s *simplifier) number(d *decision, free int) int {
	if d.isOutcome() {
		return free
	}
	here := s.places[d]
	here.first = free
	free++
	for _, child := range here.children {
		free = s.number(child, free)
	}
	here.last = free
	return free
}

// dominates reports whether every path to other passes through d.
func (s *simplifier) dominates(d, other *decision) bool {
	all, at := s.places[d], s.places[other].first
	return at >= all.first && at < all.last
}

// entries are the decisions that lead to d.
func (s *simplifier) entries(d *decision) []*decision {
	if d.isOutcome() {
		return nil
	}
	return s.places[d].entries
}

// visit simplifies d and the decisions that it dominates, with the facts that are known
// there.
func (s *simplifier) visit(d *decision) {
	if d.isOutcome() {
		return
	}
	children := s.places[d].children
	if !d.isTest() {
		s.redirect(&d.yes)
		for _, child := range children {
			s.visit(child)
		}
		return
	}
	yes, no := d.yes, d.no // as they were when the tree was made
	visitOnly := func(next *decision) {
		for _, child := range children {
			if child == next && len(s.entries(child)) == 1 {
				s.visit(child)
			}
		}
	}
	s.knowing(d.test, true, func() { s.redirect(&d.yes); visitOnly(yes) })
	s.knowing(d.test, false, func() { s.redirect(&d.no); visitOnly(no) })
	for _, child := range children {
		if len(s.entries(child)) > 1 {
			s.visit(child)
		}
	}
}

// passOverIdle removes tests with equal successors. It begins with the last ones, because a
// test may become idle when those after it are removed.
func (s *simplifier) passOverIdle(root *decision) {
	for _, d := range slices.Backward(inOrder(root)) {
		for _, next := range []**decision{&d.yes, &d.no} {
			if *next != nil && (*next).isTest() && (*next).yes == (*next).no {
				*next, s.changed = (*next).yes, true
			}
		}
	}
}

// knowing calls do while the outcome of t is known.
func (s *simplifier) knowing(t test, outcome bool, do func()) {
	_, known := s.outcome[t]
	if !known {
		s.outcome[t] = outcome
		defer delete(s.outcome, t)
	}
	if t.relation == equal && outcome && t.right.kind == constantValue {
		if _, known := s.constant[t.left]; !known {
			s.constant[t.left] = t.right.k
			defer delete(s.constant, t.left)
		}
	}
	do()
}

func (s *simplifier) redirect(next **decision) {
	if followed := s.follow(*next); followed != *next {
		*next, s.changed = followed, true
	}
}

// stride is the maximum number of tests that are skipped at a time. The rest of a longer
// path is left to the next round, whose steps are as long as those of this round, so the
// work grows with the length of an expression and not with its square.
const stride = 64

// follow skips tests whose outcome is known or does not matter.
func (s *simplifier) follow(d *decision) *decision {
	for range stride {
		if !d.isTest() {
			return d
		}
		holds, known := s.known(d.test)
		switch {
		case known && holds || d.yes == d.no:
			d = d.yes
		case known:
			d = d.no
		default:
			return d
		}
	}
	return d
}

func (s *simplifier) known(t test) (holds, known bool) {
	if k, ok := s.constant[t.left]; ok && t.relation == equal && t.right.kind == constantValue {
		return k == t.right.k, true
	}
	holds, known = s.outcome[t]
	return holds, known
}
