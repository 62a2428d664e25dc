package compare

import (
	"math"
	"slices"
)

// clock says when the packets of the reference are to be expected in the capture, by the
// pairs that were found last. It chooses among packets of the same bytes.
type clock struct {
	given      float64               // speed; 0: to be estimated
	speed      float64               // how much faster time passes in the capture, as far as it is known
	firstPairs [clockPairs]pairTimes // the first pairs
	pairs      [clockPairs]pairTimes
	count      int64
	first      pairTimes
	last       pairTimes
	misses     [clockPairs]float64 // how exact the expectations of these pairs were, in nanoseconds

	isFresh bool    // the medians are those of the pairs
	offsets float64 // their median
	noise   float64 // by how much they miss: the median, in nanoseconds
}

// pairTimes are the times of a packet on both sides, in nanoseconds.
type pairTimes struct{ reference, capture int64 }

const (
	// clockPairs is odd, so that it has a median, and so many that seven packets that
	// were held up do not change it.
	clockPairs = 15
	// guardFactor is by how many times the noise a packet may miss its time, and minGuard by
	// how much at least, in nanoseconds, before others of the same bytes are tried.
	guardFactor = 8
	minGuard    = 1000
	// wideGuard is that where nothing else says that a packet is missing. NICs and drivers
	// hold packets up for less, and let them go in bursts: a flood of identical packets is
	// matched in order.
	wideGuard = 1e6
)

func newClock(speed float64) clock {
	if speed > 0 {
		return clock{given: speed, speed: speed}
	}
	return clock{speed: 1}
}

// add takes note of a pair.
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

// estimateSpeed compares the last pairs with the first ones. The median leaves out packets
// that were held up.
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

// guard is how much a packet may miss its time before others of the same bytes are tried.
// wide says that nothing else tells that one is missing.
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

// miss is how far from the expectation a pair would be, in nanoseconds. It is held against
// the last pair, and against the median of the last ones: the first is right after a
// pause, the second after a single packet that was held up.
func (c *clock) miss(reference, capture int64) float64 {
	if c.count == 0 {
		return 0
	}
	c.refresh()
	byOffsets := math.Abs(c.offset(reference, capture) - c.offsets)
	return min(c.missByLast(reference, capture), byOffsets)
}

// isEarly says that a packet of the capture came earlier than expected by more than so many
// nanoseconds, however the expectation is made.
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
