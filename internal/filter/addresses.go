package filter

import (
	"encoding/binary"
	"slices"
)

// minAddresses is from how many addresses and networks on a list becomes a table. A
// shorter one is compared one by one, as libpcap does.
const minAddresses = 64

// addressList is addresses and networks with the same qualifiers, joined by or. It means
// what they mean one by one, except in packets that are cut within their addresses: the
// source is compared with all of them before the destination is.
type addressList []identifier

// isListed says that an identifier may stand in an addressList. With src and dst, both ends
// have to be in the same network.
func (n identifier) isListed() bool {
	isAddress := n.token.kind == tokenIPv4 && n.mask == nil || n.token.kind == tokenIPv6
	isHost := n.kind == "" || n.kind == "host" || n.kind == "net"
	return isAddress && isHost && n.direction != "src and dst" && n.protocol != "decnet" && n.protocol != "link"
}

// gather makes lists of the terms of a tree that are joined by or.
func gather(tree node) node {
	switch n := tree.(type) {
	case negation:
		return negation{gather(n.node)}
	case logical:
		return gatherChain(n)
	}
	return tree
}

// gatherChain makes lists of the terms of a chain. Since and and or have one precedence,
// a chain is a tree whose left branches are long.
func gatherChain(chain logical) node {
	var links []logical // the last one first
	first := node(chain)
	for {
		link, ok := first.(logical)
		if !ok {
			break
		}
		links = append(links, link)
		first = link.left
	}
	joined := gather(first)
	slices.Reverse(links)
	for len(links) > 0 {
		list := listed(links)
		if len(list) < minAddresses {
			joined = logical{or: links[0].or, left: joined, right: gather(links[0].right)}
			links = links[1:]
			continue
		}
		links = links[len(list):]
		if alone, ok := joined.(identifier); ok && alone.isListed() && alone.goesWith(list[0]) {
			joined = append(addressList{alone}, list...)
		} else {
			joined = logical{or: true, left: joined, right: list}
		}
	}
	return joined
}

// listed are the addresses at the front of links that may stand in one list.
func listed(links []logical) (list addressList) {
	for _, link := range links {
		id, ok := link.right.(identifier)
		if !ok || !link.or || !id.isListed() || len(list) > 0 && !id.goesWith(list[0]) {
			break
		}
		list = append(list, id)
	}
	return list
}

// goesWith says that two identifiers have the same qualifiers; a host is a network.
func (n identifier) goesWith(other identifier) bool {
	return n.protocol == other.protocol && n.direction == other.direction
}

func (l addressList) condition(g *generator) *condition {
	var ipv4, ipv6 []addressRange
	var first4, first6 token
	for _, id := range slices.Backward(l) {
		g.word = id.token
		if id.token.kind == tokenIPv4 {
			address, mask := id.address4(g)
			ipv4, first4 = append(ipv4, range4(address, mask)), id.token
		} else {
			address, bits := id.address6(g)
			ipv6, first6 = append(ipv6, range6(address.As16(), bits)), id.token
		}
	}
	var matches *condition
	if len(ipv4) > 0 {
		g.word = first4
		set := newAddressSet(ipv4)
		matches = g.hosts(l[0].qualifiers, func(at position) *condition { return g.isIn(set, at, 4) })
	}
	if len(ipv6) > 0 {
		g.word = first6
		set := newAddressSet(ipv6)
		matches = or(matches, g.hosts6(l[0].qualifiers, func(at position) *condition { return g.isIn(set, at, 16) }))
	}
	return g.notFutile(matches)
}

// isIn says that the address of size bytes at a position is in a set.
func (g *generator) isIn(set *addressSet, at position, size uint32) *condition {
	return compare(g.values.member(set, at.base, at.k, size), equal, g.values.constant(1))
}

// address is an IPv6 address in two halves. An IPv4 address is its first 32 bits.
type address struct{ high, low uint64 }

func (a address) isBehind(b address) bool {
	return a.high > b.high || a.high == b.high && a.low > b.low
}

func compareAddresses(a, b address) int {
	switch {
	case a.isBehind(b):
		return 1
	case b.isBehind(a):
		return -1
	}
	return 0
}

type addressRange struct{ first, last address }

func range4(network, mask uint32) addressRange {
	return addressRange{address{high: uint64(network) << 32}, address{uint64(network|^mask)<<32 | 0xffffffff, ^uint64(0)}}
}

func range6(network [16]byte, bits int) addressRange {
	first := address{binary.BigEndian.Uint64(network[:8]), binary.BigEndian.Uint64(network[8:])}
	return addressRange{first, address{first.high | ^uint64(0)>>min(bits, 64), first.low | ^uint64(0)>>max(bits-64, 0)}}
}

// addressSet is sorted ranges that do not overlap. Its index leads to those of the first 16
// bits of an address, so that few steps of a binary search are left.
type addressSet struct {
	ranges []addressRange
	index  [1<<16 + 1]uint32 // the first range that ends at or behind these 16 bits
}

func newAddressSet(ranges []addressRange) *addressSet {
	slices.SortFunc(ranges, func(a, b addressRange) int { return compareAddresses(a.first, b.first) })
	s := new(addressSet)
	for _, r := range ranges {
		last := len(s.ranges) - 1
		switch {
		case last < 0 || r.first.isBehind(s.ranges[last].last):
			s.ranges = append(s.ranges, r)
		case r.last.isBehind(s.ranges[last].last):
			s.ranges[last].last = r.last
		}
	}
	at := uint32(0)
	for top := range s.index {
		for at < uint32(len(s.ranges)) && s.ranges[at].last.high>>48 < uint64(top) {
			at++
		}
		s.index[top] = at
	}
	return s
}

// has says that an address is in the set.
func (s *addressSet) has(a address) bool {
	top := a.high >> 48
	from, to := s.index[top], min(s.index[top+1]+1, uint32(len(s.ranges)))
	for from < to { // find the first range that ends at or behind a
		middle := (from + to) / 2
		if a.isBehind(s.ranges[middle].last) {
			from = middle + 1
		} else {
			to = middle
		}
	}
	return from < uint32(len(s.ranges)) && !s.ranges[from].first.isBehind(a)
}

// hasAt looks for the address of size bytes at an offset. whole is false when the packet
// ends before it does.
func (s *addressSet) hasAt(data []byte, offset uint64, size uint32) (found uint32, whole bool) {
	if offset > uint64(len(data)) || uint64(size) > uint64(len(data))-offset {
		return 0, false
	}
	var a address
	if size == 4 {
		a.high = uint64(binary.BigEndian.Uint32(data[offset:])) << 32
	} else {
		a = address{binary.BigEndian.Uint64(data[offset:]), binary.BigEndian.Uint64(data[offset+8:])}
	}
	if s.has(a) {
		return 1, true
	}
	return 0, true
}
