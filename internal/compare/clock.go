package compare

import (
	"math"
	"slices"
)

// clock estimates when the packets of the reference should be in the capture, from the last
// pairs. This decides among packets with the same bytes.
type clock struct {
	given      float64               // the given speed; 0: to be estimated
	speed      float64               // how much faster time passes in the capture, as far as it is known
	firstPairs [clockPairs]pairTimes // the first pairs
	pairs      [clockPairs]pairTimes
	count      int64
	first      pairTimes
	last       pairTimes
	misses     [clockPairs]float64 // errors of the estimates for these pairs, in nanoseconds

	isFresh bool    // the medians are those of the pairs
	offsets float64 // their median
	noise   float64 // the median of misses, in nanoseconds
}

// pairTimes are the times of a packet on both sides, in nanoseconds.
type pairTimes struct{ reference, capture int64 }

const (
	// clockPairs is odd, so that there is a median, and large enough that seven delayed
	// packets do not change it.
	clockPairs = 15
	// guardFactor times the noise, and at least minGuard nanoseconds, is how far a packet
	// may be from its estimated time before others with the same bytes are tried.
	guardFactor = 8
	minGuard    = 1000
	// wideGuard is used if nothing else indicates that a packet is missing. NICs and
	// drivers delay packets by less than that, and send them in bursts. So a flood of
	// identical packets is matched in order.
	wideGuard = 1e6
)

func newClock(speed float64) clock {
	if speed > 0 {
		return clock{given: speed, speed: speed}
	}
	return clock{speed: 1}
}

// add adds a pair.
func (c *clock) add(reference, capture int64) {
	pair := pairTimes{reference, capture}
	if c.count == 0 {
		c.first = pair
	} else {
		c.misses[c.count%clockPairs] = c.missByLast(reference, capture)
	}
	c.pairs[c.count%clockPairs] = pair
	c.count++
	c.last, c.isFresh = pair, false
	if c.given == 0 && c.count%clockPairs == 0 {
		c.estimateSpeed()
	}
}

// estimateSpeed compares the last pairs with the first ones. Delayed packets do not change the
// median.
func (c *clock) estimateSpeed() {
	if c.count == clockPairs {
		c.firstPairs = c.pairs
		return
	}
	var speeds [clockPairs]float64
	for i, pair := range c.pairs {
		speeds[i] = float64(pair.reference-c.firstPairs[i].reference) / float64(pair.capture-c.firstPairs[i].capture)
	}
	slices.Sort(speeds[:])
	if median := speeds[clockPairs/2]; median > 0 && !math.IsInf(median, 0) {
		c.speed = median
	}
}

// refresh computes the medians.
func (c *clock) refresh() {
	if c.isFresh {
		return
	}
	var offsets [clockPairs]float64
	misses, known := c.misses, min(c.count, clockPairs)
	for i := range known {
		offsets[i] = c.offset(c.pairs[i].reference, c.pairs[i].capture)
	}
	slices.Sort(offsets[:known])
	slices.Sort(misses[:known])
	c.isFresh, c.offsets, c.noise = true, offsets[known/2], misses[known/2]
}

// guard is how far a packet may be from its estimated time before others with the same bytes
// are tried. wide means that nothing else indicates that one is missing.
func (c *clock) guard(wide bool) float64 {
	if c.count == 0 {
		return math.Inf(1)
	}
	c.refresh()
	guard := guardFactor*c.noise + minGuard
	if wide {
		return max(guard, wideGuard)
	}
	return guard
}

// miss is how far a pair would be from the estimate, in nanoseconds. Estimates are made from
// the last pair, which is better after a pause, and from the median of the last pairs, which
// is better after a single delayed packet.
func (c *clock) miss(reference, capture int64) float64 {
	if c.count == 0 {
		return 0
	}
	c.refresh()
	byOffsets := math.Abs(c.offset(reference, capture) - c.offsets)
	return min(c.missByLast(reference, capture), byOffsets)
}

// isEarly reports whether a packet of the capture came earlier than both estimates by more than
// so many nanoseconds.
func (c *clock) isEarly(reference, capture int64, by float64) bool {
	c.refresh()
	byLast := float64(capture-c.last.capture) - float64(reference-c.last.reference)/c.speed
	return byLast < -by && c.offset(reference, capture)-c.offsets < -by
}

func (c *clock) missByLast(reference, capture int64) float64 {
	return math.Abs(float64(capture-c.last.capture) - float64(reference-c.last.reference)/c.speed)
}

func (c *clock) offset(reference, capture int64) float64 {
	return float64(capture-c.first.capture) - float64(reference-c.first.reference)/c.speed
}
