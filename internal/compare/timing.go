package compare

import (
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"

	"pcap-replay/internal/record"
)

// timing compares the times of pairs, in the order of the reference.
//
// All times are nanoseconds from the start of their side, and those of the reference are
// divided by the speed: its schedule.
type timing struct {
	speed     float64
	estimated bool
	start     [2]int64 // times that are 0
	earliest  float64  // the smallest delay of a pair in the first windows: the delay of a packet that is in time

	gaps, schedule timeErrors
	before         pairSchedule // the packet before, if it has a partner
	drift          regression
	firstLate      mean
	lastLate       []float64 // a ring
	pairs          int64
	bursts         [2]bursts
	series         Series
	gapErrors      []int64
}

// pairSchedule is when a packet was due and when it came.
type pairSchedule struct {
	due, came float64
	known     bool
}

// driftPackets is the number of packets at each end that are averaged for the drift at the
// end.
const driftPackets = 100

// newTiming estimates the speed and the delay from the packets in the windows.
func newTiming(j *join) *timing {
	t := &timing{speed: j.options.Speed, gaps: newTimeErrors(), schedule: newTimeErrors(), gapErrors: make([]int64, len(GapErrorBounds)), earliest: math.Inf(1)}
	for side, f := range j.feeds {
		if f.stats.First != nil {
			t.start[side] = int64(*f.stats.First)
		}
	}
	if t.speed == 0 {
		t.estimated = true
		t.speed = t.estimateSpeed(j)
	}
	t.eachPair(j, func(r *packet) { t.earliest = min(t.earliest, t.came(r)-t.due(r)) })
	if math.IsInf(t.earliest, 1) {
		t.earliest = 0
	}
	t.bursts = [2]bursts{newBursts(), newBursts()}
	return t
}

// speedBlocks is the number of blocks into which the pairs are divided to estimate the speed,
// and minSpeedBlocks the least number. A block has at least minBlockPairs.
const (
	speedBlocks    = 32
	minSpeedBlocks = 5
	minBlockPairs  = 8
)

// estimateSpeed takes the median of the slopes of blocks of pairs: a pause changes the slope
// of its block only.
func (t *timing) estimateSpeed(j *join) float64 {
	pairs := 0
	t.eachPair(j, func(*packet) { pairs++ })
	count := min(pairs/minBlockPairs, speedBlocks)
	if count < minSpeedBlocks {
		count = 1
	}
	blocks := make([]regression, count)
	at := 0
	t.eachPair(j, func(r *packet) {
		blocks[at*count/pairs].add(float64(r.time-t.start[Reference]), float64(r.partnerTime-t.start[Capture]))
		at++
	})
	if count == 1 {
		return blocks[0].speed()
	}
	var slopes, distances []float64
	for i := range blocks {
		if blocks[i].xx > 0 {
			slopes = append(slopes, blocks[i].slope())
		}
	}
	if len(slopes) < minSpeedBlocks {
		return 1
	}
	slices.Sort(slopes)
	slope := slopes[len(slopes)/2]
	for _, s := range slopes {
		distances = append(distances, math.Abs(s-slope))
	}
	slices.Sort(distances)
	if slope <= 0 || math.Abs(slope-1) <= distances[len(distances)/2] {
		return 1
	}
	return nominalSpeed(1 / slope)
}

// eachPair calls add for the timed packets in the window of the reference that have a
// partner.
func (t *timing) eachPair(j *join, add func(*packet)) {
	w := j.windows[Reference]
	for number := w.first; number < w.end; number++ {
		if p := w.at(number); p.hasTimes() {
			add(p)
		}
	}
}

// hasTimes reports whether a packet has a partner, and both have a time.
func (p *packet) hasTimes() bool { return p.partner != nobody && !p.is(untimed|partnerUntimed) }

func (t *timing) due(r *packet) float64  { return float64(r.time-t.start[Reference]) / t.speed }
func (t *timing) came(r *packet) float64 { return float64(r.partnerTime - t.start[Capture]) }

// addReference adds the next packet of the reference.
func (t *timing) addReference(r *packet) {
	if r.is(untimed) {
		t.before.known = false
		return
	}
	due := t.due(r)
	t.series.add(due, func(b *Bucket) { b.Reference++ })
	if !r.hasTimes() {
		t.before.known = false
		return
	}
	came := t.came(r)
	if t.before.known {
		gap := int64(math.Round(math.Abs(came - t.before.came - (due - t.before.due))))
		t.gaps.add(gap)
		t.gapErrors[gapErrorBar(gap)]++
		t.series.add(due, func(b *Bucket) { b.addGapError(gap) })
	}
	t.before = pairSchedule{due, came, true}
	late := came - due - t.earliest
	t.schedule.add(int64(math.Round(math.Abs(late))))
	t.drift.add(due, came)
	t.bursts[Reference].add(due)
	if t.pairs++; t.pairs <= driftPackets {
		t.firstLate.add(late)
	}
	if len(t.lastLate) < driftPackets {
		t.lastLate = append(t.lastLate, late)
	} else {
		t.lastLate[t.pairs%driftPackets] = late
	}
}

// addCapture adds the next packet of the capture.
func (t *timing) addCapture(c *packet) {
	if c.is(untimed) {
		return
	}
	came := float64(c.time - t.start[Capture])
	t.series.add(came-t.earliest, func(b *Bucket) { b.Capture++ })
	if c.partner != nobody && !c.is(partnerUntimed) {
		t.bursts[Capture].add(came)
	}
}

func (t *timing) end(r *Result) {
	r.Speed, r.SpeedEstimated = t.speed, t.estimated
	r.GapError, r.ScheduleError = t.gaps.record(), t.schedule.record()
	r.Series, r.GapErrors = t.series, t.gapErrors
	r.Bursts = burstRatios(&t.bursts[Reference], &t.bursts[Capture])
	if t.drift.count < 2 || t.drift.xx == 0 {
		return
	}
	ppm := (t.drift.slope() - 1) * 1e6
	var last mean
	for _, late := range t.lastLate {
		last.add(late)
	}
	end := last.value() - t.firstLate.value()
	seconds, endPPM := end/1e9, end/t.drift.span()*1e6
	r.DriftPPM, r.DriftEnd, r.DriftEndPPM = &ppm, &seconds, &endPPM
}

// mean is an average.
type mean struct {
	sum   float64
	count int
}

func (m *mean) add(value float64) { m.sum += value; m.count++ }
func (m *mean) value() float64    { return m.sum / float64(max(m.count, 1)) }

// regression fits a line by least squares without keeping the points (Welford's method).
type regression struct {
	count        float64
	meanX, meanY float64
	xx, xy, yy   float64
	first, last  float64
}

func (r *regression) add(x, y float64) {
	if r.count == 0 {
		r.first = x
	}
	r.last = max(r.last, x)
	r.count++
	dx, dy := x-r.meanX, y-r.meanY
	r.meanX += dx / r.count
	r.meanY += dy / r.count
	r.xx += dx * (x - r.meanX)
	r.xy += dx * (y - r.meanY)
	r.yy += dy * (y - r.meanY)
}

func (r *regression) slope() float64 { return r.xy / r.xx }
func (r *regression) span() float64  { return r.last - r.first }

const (
	// nominalTolerance is the largest difference between the clocks of computers. A speed
	// that is closer to a round speed is that speed, and the rest is drift.
	nominalTolerance = 1e-3
	// significantErrors is how many standard errors a speed must differ from 1.
	significantErrors = 4
)

// speed returns how much faster y passes than x, for a few pairs.
func (r *regression) speed() float64 {
	if r.count < 3 || r.xx == 0 || r.xy <= 0 {
		return 1
	}
	slope := r.slope()
	residual := max(r.yy-slope*r.xy, 0) / (r.count - 2)
	if math.Abs(slope-1) <= significantErrors*math.Sqrt(residual/r.xx) {
		return 1
	}
	return nominalSpeed(1 / slope)
}

// nominalSpeed returns the round number that is near a speed, or else the speed.
func nominalSpeed(speed float64) float64 {
	digits := math.Pow(10, math.Floor(math.Log10(speed))-1) // two significant ones
	for _, round := range []float64{math.Round(speed/digits) * digits, 1 / math.Round(1/speed)} {
		if math.Abs(speed/round-1) <= nominalTolerance {
			return round
		}
	}
	return speed
}

// timeErrors counts errors in nanoseconds.
type timeErrors struct {
	histogram *hdrhistogram.Histogram
	count     int64
	within    [4]int64 // by withinBounds
	max       int64
}

// withinBounds are 1, 10, 100 us and 1 ms.
var withinBounds = [4]int64{1e3, 10e3, 100e3, 1e6}

const (
	maxError    = int64(1e14) // over a day, in nanoseconds. What is more counts as that much
	errorDigits = 3           // quantiles are exact to 0.1 %
)

func newTimeErrors() timeErrors {
	return timeErrors{histogram: hdrhistogram.New(1, maxError, errorDigits)}
}

func (e *timeErrors) add(nanoseconds int64) {
	_ = e.histogram.RecordValue(min(nanoseconds, maxError)) // never out of range
	e.count++
	e.max = max(e.max, nanoseconds)
	for i, bound := range withinBounds {
		if nanoseconds <= bound {
			e.within[i]++
		}
	}
}

// record returns nil if there are no errors.
func (e *timeErrors) record() *record.TimeError {
	if e.count == 0 {
		return nil
	}
	quantile := func(percent float64) float64 {
		return record.Seconds(min(e.histogram.ValueAtQuantile(percent), e.max))
	}
	share := func(i int) float64 { return float64(e.within[i]) / float64(e.count) }
	return &record.TimeError{
		P50: quantile(50), P90: quantile(90), P99: quantile(99), P999: quantile(99.9), Max: record.Seconds(e.max),
		Within1us: share(0), Within10us: share(1), Within100us: share(2), Within1ms: share(3),
	}
}
