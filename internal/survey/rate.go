package survey

import (
	"math/bits"
	"slices"
)

// rateBuckets is how many parts of time a Rate tells apart at most. It halves
// them when a capture outgrows them, so a long one has at least half as many.
const rateBuckets = 512

// Rate counts packets over time in memory that is bounded, however long the
// capture. The zero value is ready to use.
type Rate struct {
	shift  uint  // a bucket is 2^shift nanoseconds long
	first  int64 // number of the bucket that counts[0] counts, from the Unix epoch on
	counts []uint32
}

// add counts a packet at a time in nanoseconds since the Unix epoch.
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

// stretch makes room for a time that no bucket holds.
func (r *Rate) stretch(time int64) {
	if len(r.counts) == 0 {
		r.first, r.counts = time>>r.shift, make([]uint32, 1, rateBuckets)
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

// coarser says by how many bits buckets must grow for those from first to last
// to be no more than there may be.
func coarser(first, last int64) uint {
	by := uint(max(0, bits.Len64(uint64(last)-uint64(first))-bits.Len(rateBuckets-1)))
	for uint64(last>>by)-uint64(first>>by) >= rateBuckets {
		by++
	}
	return by
}

// halve makes one bucket of 2^by.
func (r *Rate) halve(by uint) {
	if by == 0 {
		return
	}
	first := r.first >> by
	coarse := make([]uint32, 0, rateBuckets)
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
// nanoseconds since the Unix epoch) evenly. What stands in a bucket is taken to
// be spread evenly over it; what lies outside goes to the first or last column.
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

// distance is how many nanoseconds lie from one time to another, which may be more
// than 63 bits of them.
func distance(from, to int64) float64 {
	if to < from {
		return -distance(to, from)
	}
	return float64(uint64(to) - uint64(from))
}

// spread divides an amount among the columns that the range touches.
func spread(columns []float64, from, to, amount float64) {
	last := len(columns) - 1
	lower, upper := clamp(from, last), clamp(to, last)
	if lower == upper {
		columns[lower] += amount
		return
	}
	share := amount / (to - from)
	for column := lower; column <= upper; column++ {
		begin, end := max(from, float64(column)), min(to, float64(column+1))
		if column == lower {
			begin = from
		}
		if column == upper {
			end = to
		}
		columns[column] += share * max(0, end-begin)
	}
}

func clamp(position float64, last int) int {
	return int(min(max(position, 0), float64(last)))
}
