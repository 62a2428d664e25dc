package compare

import "math"

// Series has the packets of both sides over time, in parts of equal length.
type Series struct {
	// Length is the length of a part in nanoseconds.
	Length  float64
	Buckets []Bucket
}

// Bucket has the packets of one part.
type Bucket struct {
	Reference, Capture int64 // packets
	// GapErrors is the number of gap errors of packets that were due in this part,
	// SumGapError is their sum, and MaxGapError the largest, in nanoseconds.
	GapErrors   int64
	SumGapError float64
	MaxGapError int64
}

// seriesBuckets is the largest number of parts. If more would be needed, the parts become
// twice as long.
const seriesBuckets = 512

// firstLength is the initial length of a part in nanoseconds.
const firstLength = 1e3

// add changes the part of a time, in nanoseconds from the start. Times before the start belong
// to the first part.
func (s *Series) add(nanoseconds float64, change func(*Bucket)) {
	if s.Length == 0 {
		s.Length = firstLength
	}
	part := max(nanoseconds/s.Length, 0)
	for part >= seriesBuckets {
		s.halve()
		part = nanoseconds / s.Length
	}
	for len(s.Buckets) <= int(part) {
		s.Buckets = append(s.Buckets, Bucket{})
	}
	change(&s.Buckets[int(part)])
}

// halve joins every two parts.
func (s *Series) halve() {
	s.Length *= 2
	half := (len(s.Buckets) + 1) / 2
	for i := range half {
		sum := s.Buckets[2*i]
		if 2*i+1 < len(s.Buckets) {
			next := &s.Buckets[2*i+1]
			sum.Reference += next.Reference
			sum.Capture += next.Capture
			sum.GapErrors += next.GapErrors
			sum.SumGapError += next.SumGapError
			sum.MaxGapError = max(sum.MaxGapError, next.MaxGapError)
		}
		s.Buckets[i] = sum
	}
	s.Buckets = s.Buckets[:half]
}

func (b *Bucket) addGapError(nanoseconds int64) {
	b.GapErrors++
	b.SumGapError += float64(nanoseconds)
	b.MaxGapError = max(b.MaxGapError, nanoseconds)
}

// GapErrorBounds are the bounds of a histogram of gap errors, in nanoseconds: three bars for
// each power of ten. The last bar has everything beyond.
var GapErrorBounds = func() (bounds []int64) {
	for power := int64(100); power <= 1e10; power *= 10 {
		bounds = append(bounds, power, 2*power, 5*power)
	}
	return append(bounds, math.MaxInt64)
}()

// gapErrorBar is the bar of a gap error: the first one whose bound it does not exceed.
func gapErrorBar(nanoseconds int64) int {
	for i, bound := range GapErrorBounds {
		if nanoseconds <= bound {
			return i
		}
	}
	return len(GapErrorBounds) - 1
}
