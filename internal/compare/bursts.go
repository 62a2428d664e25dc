package compare

import "pcap-replay/internal/record"

// burstScales are the lengths of time in which packets are counted, in nanoseconds. Each is
// burstStep times the one before.
var burstScales = [...]int64{1e3, 10e3, 100e3, 1e6, 10e6, 100e6, 1e9}

const burstStep = 10

// bursts counts the packets of one side in intervals of every scale.
type bursts [len(burstScales)]burstCount

// burstCount counts in intervals of one scale. A packet that comes too late for its interval
// counts in the newest one.
type burstCount struct {
	first, part int64 // numbers of the first and the newest interval
	inPart      float64
	packets     float64
	squares     float64 // of the counts of the intervals before the newest one
}

func newBursts() (b bursts) {
	for i := range b {
		b[i].part = -1
	}
	return b
}

func (b *bursts) add(nanoseconds float64) {
	part := int64(nanoseconds) / burstScales[0]
	for i := range b {
		c := &b[i]
		if c.packets == 0 {
			c.first, c.part = part, part
		}
		if part > c.part {
			c.squares += c.inPart * c.inPart
			c.part, c.inPart = part, 0
		}
		c.inPart++
		c.packets++
		part /= burstStep // a constant divides fast
	}
}

// variance returns the variance of the counts of all intervals.
func (c *burstCount) variance() float64 {
	parts := float64(c.part - c.first + 1)
	mean := c.packets / parts
	return max((c.squares+c.inPart*c.inPart)/parts-mean*mean, 0)
}

// burstRatios returns a ratio for each scale that is shorter than both sides.
func burstRatios(reference, capture *bursts) []record.BurstRatio {
	ratios := []record.BurstRatio{}
	for i, scale := range burstScales {
		r, c := &reference[i], &capture[i]
		if r.part == r.first || c.part == c.first {
			break
		}
		b := record.BurstRatio{Scale: record.Seconds(scale)}
		switch a, z := r.variance(), c.variance(); {
		case a == z:
			one := 1.
			b.Ratio = &one
		case a > 0:
			ratio := z / a
			b.Ratio = &ratio
		}
		ratios = append(ratios, b)
	}
	return ratios
}
