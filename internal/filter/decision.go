package filter

// decision is a node of the graph that a condition becomes: a test with the
// decisions that follow, an assignment with one, or one of the two outcomes.
// There are no cycles.
type decision struct {
	test    test
	yes, no *decision

	assigned *value // to register; then yes follows
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

// simplify leaves out every test whose outcome is known from the tests on all
// ways to it: its values have been loaded before. It also leaves out tests that do
// not matter, and their loads with them, but for the first one. So does libpcap's
// optimizer, which decides what becomes of packets that are too short for these.
func simplify(root *decision, keepFirst bool) *decision {
	for changed := true; changed; {
		s := newSimplifier(root)
		s.visit(root)
		if next := s.follow(root); next != root && (!keepFirst || next.isOutcome()) {
			root, s.changed = next, true
		}
		changed = s.changed
	}
	return root
}

// inOrder lists the decisions that root leads to, each before those that follow
// it; the outcomes are left out.
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
	for i, j := 0, len(backwards)-1; i < j; i, j = i+1, j-1 {
		backwards[i], backwards[j] = backwards[j], backwards[i]
	}
	return backwards
}

// simplifier walks the dominator tree of the decisions: a decision dominates
// another if every way to the other passes through it.
type simplifier struct {
	children map[*decision][]*decision // in the dominator tree
	spans    map[*decision]span        // what each dominates
	entries  map[*decision][]*decision // the decisions that lead to one
	constant map[*value]uint32         // values known to equal a constant
	outcome  map[test]bool
	changed  bool
}

// span is the numbers that a decision and all that it dominates have.
type span struct{ first, last int }

func newSimplifier(root *decision) *simplifier {
	s := &simplifier{
		children: map[*decision][]*decision{}, spans: map[*decision]span{}, entries: map[*decision][]*decision{},
		constant: map[*value]uint32{}, outcome: map[test]bool{},
	}
	dominator, depth := map[*decision]*decision{}, map[*decision]int{}
	for _, d := range inOrder(root) {
		if d != root {
			above := dominator[d]
			depth[d] = depth[above] + 1
			s.children[above] = append(s.children[above], d)
		}
		for _, next := range []*decision{d.yes, d.no} {
			if next == nil || next.isOutcome() {
				continue
			}
			above := d
			if s.entries[next] = append(s.entries[next], d); len(s.entries[next]) > 1 {
				for other := dominator[next]; above != other; {
					if depth[above] > depth[other] {
						above = dominator[above]
					} else {
						other = dominator[other]
					}
				}
			}
			dominator[next] = above
		}
	}
	s.number(root, 0)
	return s
}

// number numbers the decisions so that those which one dominates follow it; it
// gives the first number that is free.
func (s *simplifier) number(d *decision, free int) int {
	first := free
	free++
	for _, child := range s.children[d] {
		free = s.number(child, free)
	}
	s.spans[d] = span{first, free}
	return free
}

// dominates says that every way to other passes through d.
func (s *simplifier) dominates(d, other *decision) bool {
	all, at := s.spans[d], s.spans[other].first
	return at >= all.first && at < all.last
}

// visit simplifies d and what it dominates, under what is known there.
func (s *simplifier) visit(d *decision) {
	if d.isOutcome() {
		return
	}
	children := s.children[d]
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
			if child == next && len(s.entries[child]) == 1 {
				s.visit(child)
			}
		}
	}
	s.knowing(d.test, true, func() { s.redirect(&d.yes); visitOnly(yes) })
	s.knowing(d.test, false, func() { s.redirect(&d.no); visitOnly(no) })
	for _, child := range children {
		if len(s.entries[child]) > 1 {
			s.visit(child)
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

// follow passes over the tests whose outcome is known or does not matter.
func (s *simplifier) follow(d *decision) *decision {
	for d.isTest() {
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
