package rewrite

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// number is an address or another number of up to 128 bits.
type number struct{ high, low uint64 }

func (n number) compare(other number) int {
	return cmp.Or(cmp.Compare(n.high, other.high), cmp.Compare(n.low, other.low))
}

// next is the number after n, or 0 after the last one.
func (n number) next() number {
	n.low++
	if n.low == 0 {
		n.high++
	}
	return n
}

func (n number) xor(other number) number { return number{n.high ^ other.high, n.low ^ other.low} }

// numberOf reads a number of up to 16 bytes.
func numberOf(field []byte) number {
	var padded [16]byte
	copy(padded[16-len(field):], field)
	return number{binary.BigEndian.Uint64(padded[:]), binary.BigEndian.Uint64(padded[8:])}
}

// network is a rule for the numbers from first to last. It flips the bits in which the old
// and the new network differ.
type network struct {
	first, last, flip number
	length            int // of the prefix
}

// networks finds the change of a number: that of the network with the longest prefix. It is
// an ordered list of ranges. The zero value changes nothing.
type networks struct {
	starts []number // of the ranges; the first one is 0
	flips  []number
}

// newNetworks makes ranges of networks, which are disjoint or one in the other.
func newNetworks(rules []network) (n networks) {
	if len(rules) == 0 {
		return n
	}
	slices.SortFunc(rules, func(a, b network) int { // an outer one before those in it
		return cmp.Or(a.first.compare(b.first), cmp.Compare(a.length, b.length))
	})
	outer := []network{{}} // those around the next range, the longest prefix last
	leave := func() {
		end := outer[len(outer)-1].last.next()
		outer = outer[:len(outer)-1]
		if end != (number{}) {
			n.add(end, outer[len(outer)-1].flip)
		}
	}
	n.add(number{}, number{})
	for _, rule := range rules {
		for len(outer) > 1 && outer[len(outer)-1].last.compare(rule.first) < 0 {
			leave()
		}
		outer = append(outer, rule)
		n.add(rule.first, rule.flip)
	}
	for len(outer) > 1 {
		leave()
	}
	return n
}

// add begins a range. It replaces one that begins at the same number.
func (n *networks) add(start, flip number) {
	if last := len(n.starts) - 1; last >= 0 && n.starts[last] == start {
		n.flips[last] = flip
		return
	}
	n.starts, n.flips = append(n.starts, start), append(n.flips, flip)
}

// flip returns the bits of a number to change.
func (n *networks) flip(of number) number {
	low, high := 0, len(n.starts)
	if high == 0 {
		return number{}
	}
	for high-low > 1 { // starts[low] <= of < starts[high]
		middle := int(uint(low+high) / 2)
		start := &n.starts[middle]
		if of.high < start.high || of.high == start.high && of.low < start.low {
			high = middle
		} else {
			low = middle
		}
	}
	return n.flips[low]
}

func (n *networks) isEmpty() bool { return len(n.starts) == 0 }
