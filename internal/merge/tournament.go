package merge

import (
	"math"
	"math/bits"
)

// tournament finds the source with the earliest packet. It is a tree in which every node has
// the winner of the two nodes below it. When a source has a new packet, only the matches on
// its path to the root are played again. Of equal times, that of the source with the lower
// order wins, which keeps the merge stable.
type tournament struct {
	players  []player // by leaf
	winners  []uint64 // leaves; winners[1] is the root, the second half are the leaves
	vacant   []int32
	occupied int
}

// player is a source in a match. The earlier time wins, then the lower order.
type player struct {
	time  uint64 // with the sign bit inverted, so that an earlier time is less
	order uint64
}

// nobody loses against every source.
var nobody = player{math.MaxUint64, math.MaxUint64}

const signBit = 1 << 63

// enter adds a source and returns its leaf.
func (t *tournament) enter(order int32, time int64) (leaf int32) {
	if len(t.vacant) == 0 {
		t.grow()
	}
	leaf = t.vacant[len(t.vacant)-1]
	t.vacant = t.vacant[:len(t.vacant)-1]
	t.occupied++
	t.players[leaf].order = uint64(order)
	t.update(leaf, time)
	return leaf
}

// leave frees a leaf.
func (t *tournament) leave(leaf int32) {
	t.occupied--
	t.vacant = append(t.vacant, leaf)
	t.players[leaf] = nobody
	t.play(leaf)
}

// winner is the leaf with the earliest time, unless empty.
func (t *tournament) winner() int32 { return int32(t.winners[1]) }

// time returns the time of a leaf.
func (t *tournament) time(leaf int32) int64 { return int64(t.players[leaf].time ^ signBit) }

func (t *tournament) empty() bool { return t.occupied == 0 }

// update sets the time of a leaf.
func (t *tournament) update(leaf int32, time int64) {
	t.players[leaf].time = uint64(time) ^ signBit
	t.play(leaf)
}

// play plays all matches of a leaf again. The winner is practically random, so the code does
// not branch on it: a wrong prediction costs more than all the arithmetic.
func (t *tournament) play(leaf int32) {
	players, winners := t.players, t.winners
	best := uint64(leaf)
	at := players[best]
	for node := uint64(len(players)) + best; node > 1; node >>= 1 {
		winners[node] = best
		rival := winners[node^1]
		other := players[rival]
		_, less := bits.Sub64(other.order, at.order, 0)
		_, less = bits.Sub64(other.time, at.time, less)
		take := -less // all ones if the rival is earlier
		best ^= (best ^ rival) & take
		at.time ^= (at.time ^ other.time) & take
		at.order ^= (at.order ^ other.order) & take
	}
	winners[1] = best
}

// grow doubles the number of leaves and plays every match again.
func (t *tournament) grow() {
	size := len(t.players)
	doubled := max(2, 2*size)
	for leaf := doubled - 1; leaf >= size; leaf-- {
		t.players = append(t.players, nobody)
		t.vacant = append(t.vacant, int32(leaf))
	}
	t.winners = make([]uint64, 2*doubled)
	for leaf := range doubled {
		t.winners[doubled+leaf] = uint64(leaf)
	}
	for leaf := range doubled {
		t.play(int32(leaf))
	}
}
