package filter

import "slices"

// reorder groups the tests of one value: "port 53 or port 80" compares the source port with
// both numbers, and only then the destination port. This is faster. It is also what
// libpcap's optimizer does, which matters for packets that are cut between the two fields
// (or_pullup and and_pullup in its optimize.c).
func reorder(root *decision, keepFirst bool) *decision {
	for changed := true; changed; {
		root = simplify(root, keepFirst)
		changed = false
		s := newSimplifier(root)
		for _, d := range inOrder(root) {
			changed = s.sortChain(d, true) || changed
			changed = s.sortChain(d, false) || changed
		}
	}
	return root
}

// A chain is a sequence of tests joined by or: if one is true, it leads to the exit, which
// is the same for all, and otherwise to the next test. Or it is a sequence joined by and,
// with yes and no exchanged; either says which.

func (d *decision) exit(either bool) *decision { return *d.way(either) }
func (d *decision) next(either bool) *decision { return *d.way(!either) }

func (d *decision) way(yes bool) **decision {
	if yes {
		return &d.yes
	}
	return &d.no
}

// tested is the value that all predecessors of d compare, or nil.
func (s *simplifier) tested(d *decision) *value {
	var tested *value
	for i, entry := range s.entries(d) {
		if i > 0 && entry.test.left != tested {
			return nil
		}
		tested = entry.test.left
	}
	return tested
}

// sortChain looks at the chain that begins with d, after decisions that all test one value,
// and moves the tests of this value to its front.
func (s *simplifier) sortChain(d *decision, either bool) (changed bool) {
	value := s.tested(d)
	if value == nil || !d.isTest() {
		return false
	}
	before := s.entries(d)
	if first := before[0]; len(before) == 1 && first.exit(either) == d.exit(either) && s.tested(first) == value {
		return false // the rest of a chain that is already sorted
	}
	var same, others []*decision
	end := d
	for ; end.isTest() && end.exit(either) == d.exit(either) && s.dominates(d, end); end = end.next(either) {
		if end.test.left == value {
			same = append(same, end)
			changed = changed || len(others) > 0
		} else {
			others = append(others, end)
		}
	}
	if changed {
		s.link(d, append(same, others...), end, either)
	}
	return changed
}

// link replaces the chain that begins with d by the sorted one.
func (s *simplifier) link(d *decision, chain []*decision, end *decision, either bool) {
	before := s.entries(d)
	for _, entry := range before {
		for _, branch := range []**decision{&entry.yes, &entry.no} {
			if *branch == d {
				*branch = chain[0]
			}
		}
	}
	last := slices.IndexFunc(s.entries(end), func(entry *decision) bool { return slices.Contains(chain, entry) && entry.next(either) == end })
	for i, member := range chain {
		s.places[member].entries = before
		before = []*decision{member}
		next := end
		if i+1 < len(chain) {
			next = chain[i+1]
		}
		*member.way(!either) = next
	}
	if last >= 0 {
		s.places[end].entries[last] = chain[len(chain)-1]
	}
}
