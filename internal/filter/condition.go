package filter

// condition is a test of packets, or several tests that are joined. Tests are made in the
// order of the text, and only as far as they matter. The order counts, because a load
// beyond the end of a packet rejects it.
type condition struct {
	kind  conditionKind
	a, b  *condition
	test  test
	value *value // what is assigned to the register
	k     uint32 // register
}

type conditionKind uint8

const (
	alwaysCondition conditionKind = iota
	neverCondition
	testCondition
	andCondition
	orCondition
	notCondition
	assignCondition // always true; later tests see the register's value
)

// test compares two values: equal, greater, greater or equal, or any common bit.
type test struct {
	relation    relation
	left, right *value
}

type relation uint8

const (
	equal relation = iota
	greater
	greaterOrEqual
	anyBit
)

func (r relation) holds(left, right uint32) bool {
	switch r {
	case equal:
		return left == right
	case greater:
		return left > right
	case greaterOrEqual:
		return left >= right
	}
	return left&right != 0
}

var (
	always = &condition{kind: alwaysCondition}
	never  = &condition{kind: neverCondition}
)

// compare makes a test, unless its outcome is already known.
func compare(left *value, r relation, right *value) *condition {
	if left.kind == constantValue && right.kind == constantValue {
		if r.holds(left.k, right.k) {
			return always
		}
		return never
	}
	if left.kind == constantValue {
		switch r {
		case equal, anyBit:
			left, right = right, left
		case greater: // k > x is not x >= k
			return not(compare(right, greaterOrEqual, left))
		case greaterOrEqual:
			return not(compare(right, greater, left))
		}
	}
	return &condition{kind: testCondition, test: test{r, left, right}}
}

// and and or join conditions. Nil conditions are left out.
func and(conditions ...*condition) *condition { return join(andCondition, conditions) }
func or(conditions ...*condition) *condition  { return join(orCondition, conditions) }

func join(kind conditionKind, conditions []*condition) (joined *condition) {
	for _, c := range conditions {
		switch {
		case joined == nil:
			joined = c
		case c != nil:
			joined = &condition{kind: kind, a: joined, b: c}
		}
	}
	return joined
}

// startsKnown reports whether the outcome of the first test is already known.
func (c *condition) startsKnown() bool {
	for c.a != nil {
		c = c.a
	}
	return c.kind == alwaysCondition || c.kind == neverCondition
}

func not(c *condition) *condition { return &condition{kind: notCondition, a: c} }

// assign stores a value in a register and is always true.
func assign(register *value, v *value) *condition {
	return &condition{kind: assignCondition, k: register.k, value: v}
}
