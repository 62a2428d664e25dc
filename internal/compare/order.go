package compare

import "sort"

// order finds reordered packets, by their numbers in the reference, in the order in which
// they came: RFC 4737.
type order struct {
	reordered, extent int64
	came              int64
	// highest are the packets that had the highest number in the reference when they came.
	// Their numbers and places rise. The oldest are dropped.
	highest []highest
}

type highest struct{ number, place int64 }

// maxHighest limits how far back an extent reaches.
const maxHighest = 1 << 19

func (o *order) add(number int64) {
	place := o.came
	o.came++
	if len(o.highest) == 0 || number > o.highest[len(o.highest)-1].number {
		if len(o.highest) == maxHighest {
			o.highest = o.highest[:copy(o.highest, o.highest[maxHighest/2:])]
		}
		o.highest = append(o.highest, highest{number, place})
		return
	}
	o.reordered++ // section 3.3
	first := sort.Search(len(o.highest), func(i int) bool { return o.highest[i].number > number })
	o.extent = max(o.extent, place-o.highest[first].place) // section 4.2.1
}
