package filter

// reorder brings tests of one value together: "port 53 or port 80" compares the
// source port with both, and only then the destination port. It is faster, and it
// is what libpcap's optimizer does, which shows in packets that are cut between
// the two (or_pullup and and_pullup in its optimize.c).
func reorder(root *decision, keepFirst bool) *decision {
	for {
		root = simplify(root, keepFirst)
		if !pullUp(root) {
			return root
		}
	}
}

// pullUp moves what tests can be moved, the last ones first.
func pullUp(root *decision) (changed bool) {
	s := newSimplifier(root)
	order := inOrder(root)
	for i := len(order) - 1; i >= 0; i-- {
		for _, either := range []bool{true, false} {
			if s.pullUpTo(order[i], either) {
				changed = true
			}
		}
	}
	return changed
}

// exit and next are the two ways out of a test in a chain: of tests joined by or
// (either), all exits lead to one place when a test holds; of those joined by
// and, when one does not.
func (d *decision) exit(either bool) *decision  { return *d.way(either) }
func (d *decision) next(either bool) **decision { return d.way(!either) }

func (d *decision) way(yes bool) **decision {
	if yes {
		return &d.yes
	}
	return &d.no
}

// pullUpTo looks at the chain that begins with d, behind decisions that all test
// one value. If another test of that value stands in the chain behind tests of
// others, it is moved before those.
func (s *simplifier) pullUpTo(d *decision, either bool) bool {
	entries := s.entries[d]
	if len(entries) == 0 || !d.isTest() {
		return false
	}
	tested := entries[0].test.left
	for _, entry := range entries {
		if entry.test.left != tested || tested == nil {
			return false
		}
	}
	inChain := func(other *decision) bool {
		return other.isTest() && other.exit(either) == d.exit(either) && s.dominates(d, other)
	}
	var place **decision // nil is where the entries lead
	other := d
	for ; inChain(other) && other.test.left == tested; other = *place {
		place = other.next(either)
	}
	if !inChain(other) {
		return false
	}
	same := other.next(either)
	for ; inChain(*same) && (*same).test.left != tested; same = (*same).next(either) {
	}
	if !inChain(*same) {
		return false
	}
	pulled := *same
	*same = *pulled.next(either)
	*pulled.next(either) = other
	if place != nil {
		*place = pulled
		return true
	}
	for _, entry := range entries {
		if entry.yes == d {
			entry.yes = pulled
		} else {
			entry.no = pulled
		}
	}
	return true
}

// dominates says that every way to other passes through d.
func (s *simplifier) dominates(d, other *decision) bool {
	for ; other != nil; other = s.dominator[other] {
		if other == d {
			return true
		}
	}
	return false
}
