package survey

import (
	"math/bits"
	"slices"
)

// rateBuckets is the maximum number of time buckets of a Rate. When a capture outgrows
// them, pairs of buckets are merged, so a long capture uses at least half of them.
const rateBuckets = 512

// Rate counts packets over time in bounded memory, for any duration. The zero value is
// ready to use.
type Rate struct {
	shift  uint  // a bucket is 2^shift nanoseconds long
	first  int64 // bucket number of counts[0], counted from the Unix epoch
	counts []uint32
}

// add counts a packet. Its time is in nanoseconds since the Unix epoch.
func (r *Rate) add(time int64) {
	bucket := time>>r.shift - r.first
	if uint64(bucket) >= uint64(len(r.counts)) {
		r.stretch(time)
		bucket = time>>r.shift - r.first
	}
	if count := &r.counts[bucket]; *count != ^uint32(0) {
		*count++
	}
}

// stretch extends the buckets to a time that is outside them.
func (r *Rate) stretch(time int64) {
	if len(r.counts) == 0 {
		r.first, r.counts = time>>r.shift, make([]uint32, 1)
		return
	}
	first, last := r.first, r.first+int64(len(r.counts))-1
	bucket := time >> r.shift
	first, last = min(first, bucket), max(last, bucket)
	r.halve(coarser(first, last))
	first, last = min(r.first, time>>r.shift), max(r.first+int64(len(r.counts))-1, time>>r.shift)
	r.counts = slices.Insert(r.counts, 0, make([]uint32, r.first-first)...)
	r.first = first
	r.counts = append(r.counts, make([]uint32, last-first+1-int64(len(r.counts)))...)
}

// coarser returns by how many bits the buckets must grow so that the range from first to
// last needs no more than the maximum number.
func coarser(first, last int64) uint {
	by := uint(max(0, bits.Len64(uint64(last)-uint64(first))-bits.Len(rateBuckets-1)))
	for uint64(last>>by)-uint64(first>>by) >= rateBuckets {
		by++
	}
	return by
}

// halve merges each 2^by buckets into one.
func (r *Rate) halve(by uint) {
	if by == 0 {
		return
	}
	first := r.first >> by
	coarse := make([]uint32, 0, len(r.counts)>>by+2)
	for i, count := range r.counts {
		at := int((r.first+int64(i))>>by - first)
		if at == len(coarse) {
			coarse = append(coarse, 0)
		}
		coarse[at] = uint32(min(uint64(coarse[at])+uint64(count), uint64(^uint32(0))))
	}
	r.first, r.counts, r.shift = first, coarse, r.shift+by
}

// Spread adds the packets to columns, which divide the time from start to end (in
// nanoseconds since the Unix epoch) evenly. It spreads the packets of a bucket evenly over
// the time of the bucket. Packets outside go to the first or last column.
func (r *Rate) Spread(columns []float64, start, end int64) {
	if len(columns) == 0 || end < start {
		return
	}
	perNanosecond := float64(len(columns)) / (distance(start, end) + 1)
	length := float64(uint64(1) << r.shift)
	for i, count := range r.counts {
		if count == 0 {
			continue
		}
		from := distance(start, (r.first+int64(i))<<r.shift) * perNanosecond
		spread(columns, from, from+length*perNanosecond, float64(count))
	}
}

// distance is the number of nanoseconds between two times, which may need more than 63
// bits.
func distance(from, to int64) float64 {
	if to < from {
		return -distance(to, from)
	}
	return float64(uint64(to) - uint64(from))
}

// spread divides an amount among the columns that a range touches.
func spread(columns []float64, from, to, amount float64) {
	last := len(columns) - 1
	lower, upper := clamp(from, last), clamp(to, last)
	if lower == upper {
		columns[lower] += amount
		return
	}
	share := amount / (to - from)
	for column := lower; column <= upper; column++ {
		left, end := max(from, float64(column)), min(to, float64(column+1))
		if column == lower {
			left = from
		}
		if column == upper {
			end = to
		}
		columns[column] += share * max(0, end-left)
	}
}

func clamp(position float64, last int) int {
	return int(min(max(position, 0), float64(last)))
}
