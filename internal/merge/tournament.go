package merge

import "math"

// tournament finds the source with the earliest packet: a tree in which every
// node holds the winner of the two below. A source that moves on plays again on
// its own way to the root only, one match a level. Equal times go to the source
// with the lower order, which keeps the merge stable.
type tournament struct {
	times   []int64 // by leaf; what is vacant never wins
	orders  []int32
	winners []int32 // winners[1] is the root; the leaves are the second half
	vacant  []int32
	taken   int
}

// vacantOrder loses against every source.
const vacantOrder = math.MaxInt32

// enter gives a source a leaf.
func (t *tournament) enter(order int32, time int64) (leaf int32) {
	if len(t.vacant) == 0 {
		t.grow()
	}
	leaf = t.vacant[len(t.vacant)-1]
	t.vacant = t.vacant[:len(t.vacant)-1]
	t.taken++
	t.orders[leaf] = order
	t.update(leaf, time)
	return leaf
}

// leave frees a leaf.
func (t *tournament) leave(leaf int32) {
	t.taken--
	t.orders[leaf] = vacantOrder
	t.update(leaf, math.MaxInt64)
	t.vacant = append(t.vacant, leaf)
}

// winner is the leaf with the earliest time, unless empty.
func (t *tournament) winner() int32 { return t.winners[1] }

func (t *tournament) empty() bool { return t.taken == 0 }

// update sets the time of a leaf.
func (t *tournament) update(leaf int32, time int64) {
	t.times[leaf] = time
	order := t.orders[leaf]
	winners := t.winners
	for node := len(t.times) + int(leaf); node > 1; node >>= 1 {
		winners[node] = leaf
		rival := winners[node^1]
		if rivalTime := t.times[rival]; rivalTime < time || rivalTime == time && t.orders[rival] < order {
			leaf, time, order = rival, rivalTime, t.orders[rival]
		}
	}
	winners[1] = leaf
}

// grow doubles the number of leaves and plays every match again.
func (t *tournament) grow() {
	size := len(t.times)
	doubled := max(2, 2*size)
	for leaf := size; leaf < doubled; leaf++ {
		t.times = append(t.times, math.MaxInt64)
		t.orders = append(t.orders, vacantOrder)
	}
	for leaf := doubled - 1; leaf >= size; leaf-- {
		t.vacant = append(t.vacant, int32(leaf))
	}
	t.winners = make([]int32, 2*doubled)
	for leaf := range doubled {
		t.winners[doubled+leaf] = int32(leaf)
	}
	for node := doubled - 1; node >= 1; node-- {
		left, right := t.winners[2*node], t.winners[2*node+1]
		t.winners[node] = left
		if t.times[right] < t.times[left] || t.times[right] == t.times[left] && t.orders[right] < t.orders[left] {
			t.winners[node] = right
		}
	}
}
