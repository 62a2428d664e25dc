package rewrite

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestNetworks compares the ranges of random networks, many of them one in the other, with a
// search for the longest prefix.
func TestNetworks(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		var rules []network
		used := map[netip.Prefix]bool{}
		for range 1 + random.IntN(40) {
			address := netip.AddrFrom4([4]byte{byte(random.IntN(2) * 255), byte(random.IntN(2) * 255), byte(random.IntN(3)), byte(random.IntN(256))})
			prefix, _ := address.Prefix(random.IntN(33))
			if !used[prefix] {
				used[prefix] = true
				replacement, _ := netip.AddrFrom4([4]byte{byte(len(used)), 2, 3, 4}).Prefix(prefix.Bits())
				rules = append(rules, networkOf(prefix, replacement))
			}
		}
		n := newNetworks(rules)
		for _, rule := range rules {
			for _, of := range []number{rule.first, rule.last, rule.last.next(), {low: rule.first.low - 1}, {low: uint64(random.Uint32())}} {
				var longest network
				for _, other := range rules {
					if other.first.compare(of) <= 0 && of.compare(other.last) <= 0 && (longest == network{} || other.length > longest.length) {
						longest = other
					}
				}
				if got := n.flip(of); got != longest.flip {
					t.Fatalf("%v of %v: %v, wanted %v", of, rules, got, longest.flip)
				}
			}
		}
	}
	all := single(numberOf([]byte{15: 0}), number{low: 1})
	all.last = number{^uint64(0), ^uint64(0)}
	if n := newNetworks([]network{all}); len(n.starts) != 1 || n.flip(all.last) != all.flip {
		t.Errorf("all numbers: %v", n)
	}
}
