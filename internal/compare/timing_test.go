package compare_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/compare"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// near fails unless got is want to 1 %, or to 2 ns: both sides are rounded to nanoseconds.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.01*math.Abs(want)+2e-9 {
		t.Errorf("%s: %v, wanted %v", what, got, want)
	}
}

// quantilesOf sorts errors in nanoseconds, and gives their quantiles in seconds, with the
// ranks of HdrHistogram.
func quantilesOf(errors []float64) (q record.TimeError) {
	slices.Sort(errors)
	at := func(share float64) float64 { return errors[max(int(share*float64(len(errors))+0.5), 1)-1] / 1e9 }
	within := func(bound float64) float64 {
		n, _ := slices.BinarySearch(errors, math.Nextafter(bound, math.Inf(1)))
		return float64(n) / float64(len(errors))
	}
	return record.TimeError{
		P50: at(.5), P90: at(.9), P99: at(.99), P999: at(.999), Max: at(1),
		Within1us: within(1e3), Within10us: within(1e4), Within100us: within(1e5), Within1ms: within(1e6),
	}
}

func nearTimeError(t *testing.T, what string, got *record.TimeError, want record.TimeError) {
	t.Helper()
	near(t, what+" p50", got.P50, want.P50)
	near(t, what+" p90", got.P90, want.P90)
	near(t, what+" p99", got.P99, want.P99)
	near(t, what+" p99.9", got.P999, want.P999)
	near(t, what+" max", got.Max, want.Max)
	near(t, what+" within 1 us", got.Within1us, want.Within1us)
	near(t, what+" within 10 us", got.Within10us, want.Within10us)
	near(t, what+" within 100 us", got.Within100us, want.Within100us)
	near(t, what+" within 1 ms", got.Within1ms, want.Within1ms)
}

// Offsets, drift, speed and noise that were put in are found, and so are the quantiles.
func TestTimes(t *testing.T) {
	const count = 20000
	for _, speed := range []float64{1, 0.5, 10} {
		for _, ppm := range []float64{0, 1, 10, 100, -100} {
			for _, noise := range []float64{0, 50, 300e3} { // nanoseconds
				t.Run(fmt.Sprintf("speed=%v/drift=%v/noise=%v", speed, ppm, noise), func(t *testing.T) {
					testTimes(t, count, speed, ppm, noise)
				})
			}
		}
	}
}

func testTimes(t *testing.T, count int, speed, ppm, noise float64) {
	random := rand.New(rand.NewPCG(uint64(noise), uint64(ppm+1000)))
	reference := lab.Packets(count, lab.Start, 0, 80)
	now := float64(0)
	for i := range reference {
		reference[i].Time += int64(now)
		now += 1e3 + random.ExpFloat64()*1e6
	}
	capture := shifted(reference, 100*time.Minute)
	var due, came []float64
	for i := range capture {
		d := float64(reference[i].Time-reference[0].Time) / speed
		c := math.Round(d*(1+ppm/1e6) + noise*random.ExpFloat64())
		capture[i].Time = lab.Start + int64(100*time.Minute) + int64(c) // the first may have come late, too
		due, came = append(due, d), append(came, c)
	}
	var gaps, late []float64
	earliest := math.Inf(1)
	for i := range due {
		earliest = min(earliest, came[i]-due[i])
	}
	for i := range due {
		late = append(late, came[i]-due[i]-earliest)
		if i > 0 {
			gaps = append(gaps, math.Abs(came[i]-came[i-1]-(due[i]-due[i-1])))
		}
	}
	mean := func(values []float64) (sum float64) {
		for _, v := range values {
			sum += v / float64(len(values))
		}
		return sum
	}
	end := mean(late[count-100:]) - mean(late[:100])

	// The sum of two noises is what makes packets change places. The order is that of the capture.
	slices.SortStableFunc(capture, func(a, b stream.Packet) int { return int(a.Time - b.Time) })
	for _, given := range []float64{0, speed} {
		r := mustCompare(t, reference, capture, compare.Options{Speed: given})
		if r.Matched != int64(count) {
			t.Errorf("%d matched", r.Matched)
		}
		if math.Abs(r.Speed-speed) > 1e-12 || r.SpeedEstimated != (given == 0) {
			t.Errorf("speed %v, wanted %v", r.Speed, speed)
		}
		// The regression has a standard error of its own.
		if tolerance := 0.01*math.Abs(ppm) + 1e-3 + noise*1e6*12/math.Sqrt(float64(count))/due[count-1]; math.Abs(*r.DriftPPM-ppm) > tolerance {
			t.Errorf("drift %v ppm, wanted %v to %v", *r.DriftPPM, ppm, tolerance)
		}
		near(t, "drift at the end", *r.DriftEnd, end/1e9)
		near(t, "drift at the end in ppm", *r.DriftEndPPM, end/due[count-1]*1e6)
		nearTimeError(t, "gap error", r.GapError, quantilesOf(slices.Clone(gaps)))
		nearTimeError(t, "schedule error", r.ScheduleError, quantilesOf(slices.Clone(late)))
	}
}

// A speed that is not round is found to a thousandth.
func TestOddSpeed(t *testing.T) {
	reference := lab.Packets(5000, lab.Start, 100*time.Microsecond, 80)
	capture := shifted(reference, 0)
	for i := range capture {
		capture[i].Time = lab.Start + int64(float64(capture[i].Time-lab.Start)/3.1723)
	}
	r := mustCompare(t, reference, capture, compare.Options{})
	if math.Abs(r.Speed/3.1723-1) > 1e-3 || r.GapError.Max > 2e-9 {
		t.Errorf("speed %v, gap error up to %v", r.Speed, r.GapError.Max)
	}
}

// Pauses, such as those of a busy machine, change no speed.
func TestSpeedWithPauses(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		reference := lab.Packets(4000, lab.Start, 300*time.Microsecond, 80)
		capture := shifted(reference, time.Hour)
		for range 3 { // the packets of a pause come in a burst at its end
			at := random.IntN(len(capture) - 800)
			end := capture[at].Time + 192e6
			for i := at; i < len(capture) && capture[i].Time < end; i++ {
				capture[i].Time = end
			}
		}
		if r := mustCompare(t, reference, capture, compare.Options{}); r.Speed != 1 {
			t.Errorf("speed %v", r.Speed)
		}
	}
}

// A few packets with much jitter tell no speed.
func TestSpeedOfFew(t *testing.T) {
	reference := lab.Packets(6, lab.Start, 10*time.Microsecond, 80)
	capture := shifted(reference, time.Second)
	for i, late := range []int64{0, 9e3, 3e3, 20e3, 1e3, 30e3} {
		capture[i].Time += late
	}
	if r := mustCompare(t, reference, capture, compare.Options{}); r.Speed != 1 {
		t.Errorf("speed %v", r.Speed)
	}
}

// The ratio of bursts is that of the variances of counts.
func TestBursts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	reference := lab.Packets(30000, lab.Start, 0, 80)
	now := 0.
	for i := range reference {
		reference[i].Time += int64(now)
		now += random.ExpFloat64() * 100e3
	}
	capture := shifted(reference, 0)
	for i := range capture { // held up until the next round millisecond
		capture[i].Time += (1e6 - (capture[i].Time-lab.Start)%1e6) % 1e6
	}
	r := mustCompare(t, reference, capture, compare.Options{})
	first := capture[0].Time
	for _, b := range r.Bursts {
		scale := int64(math.Round(b.Scale * 1e9))
		want := countVariance(capture, first, scale) / countVariance(reference, reference[0].Time, scale)
		if b.Ratio == nil || math.Abs(*b.Ratio/want-1) > 1e-6 {
			t.Errorf("at %v s: %v, wanted %v", b.Scale, b.Ratio, want)
		}
	}
	if len(r.Bursts) != 7 {
		t.Errorf("%d scales", len(r.Bursts))
	}
}

func countVariance(packets []stream.Packet, first, scale int64) float64 {
	counts := make([]float64, (packets[len(packets)-1].Time-first)/scale+1)
	for i := range packets {
		counts[(packets[i].Time-first)/scale]++
	}
	mean, variance := float64(len(packets))/float64(len(counts)), 0.
	for _, n := range counts {
		variance += (n - mean) * (n - mean) / float64(len(counts))
	}
	return variance
}

// The rates over time count every packet.
func TestSeries(t *testing.T) {
	reference := lab.Packets(10000, lab.Start, 100*time.Microsecond, 80)
	r := mustCompare(t, reference, shifted(reference, time.Hour)[:7000], compare.Options{})
	var sum compare.Bucket
	for _, b := range r.Series.Buckets {
		sum.Reference += b.Reference
		sum.Capture += b.Capture
		sum.GapErrors += b.GapErrors
	}
	if sum.Reference != 10000 || sum.Capture != 7000 || sum.GapErrors != 6999 {
		t.Errorf("%+v", sum)
	}
	if seconds := r.Series.Length * float64(len(r.Series.Buckets)) / 1e9; seconds < 0.9999 || seconds > 1.01 {
		t.Errorf("%v s", seconds)
	}
}
