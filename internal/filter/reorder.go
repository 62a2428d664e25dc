package filter

import "slices"

// reorder brings tests of one value together: "port 53 or port 80" compares the
// source port with both, and only then the destination port. It is faster, and it
// is what libpcap's optimizer does, which shows in packets that are cut between
// the two (or_pullup and and_pullup in its optimize.c).
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

// A chain is tests that are joined by or: when one holds, all lead to one place,
// their exit, and when it does not, each to the next. Or it is tests joined by
// and, with yes and no the other way round; either tells which.

func (d *decision) exit(either bool) *decision { return *d.way(either) }
func (d *decision) next(either bool) *decision { return *d.way(!either) }

func (d *decision) way(yes bool) **decision {
	if yes {
		return &d.yes
	}
	return &d.no
}

// tested is the value that all decisions which lead to d compare, or nil.
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

// sortChain looks at the chain that begins with d, after decisions that all
// test one value, and moves the tests of that value to its front.
func (s *simplifier) sortChain(d *decision, either bool) (changed bool) {
	value := s.tested(d)
	if value == nil || !d.isTest() {
		return false
	}
	before := s.entries(d)
	if first := before[0]; len(before) == 1 && first.exit(either) == d.exit(either) && s.tested(first) == value {
		return false // this is the rest of a chain that is sorted already
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

// link puts a sorted chain in place of the one that began with d.
func (s *simplifier) link(d *decision, chain []*decision, end *decision, either bool) {
	before := s.entries(d)
	for _, entry := range before {
		for _, way := range []**decision{&entry.yes, &entry.no} {
			if *way == d {
				*way = chain[0]
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
