package schedule

import (
	"slices"
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Lateness is a histogram of how late packets left. One goroutine records. Any goroutine
// may read it, and never blocks the recording one.
type Lateness struct {
	mutex     sync.Mutex
	histogram *hdrhistogram.Histogram
	waiting   []int64 // recorded during a read
}

// The histogram covers 1 ns to one minute with an error of at most 1 %. Later values count
// as one minute.
const (
	maxLateness       = int64(60e9)
	latenessDigits    = 2
	latenessWaitLimit = 1 << 12
)

// NewLateness returns an empty histogram.
func NewLateness() *Lateness {
	return &Lateness{
		histogram: hdrhistogram.New(1, maxLateness, latenessDigits),
		waiting:   make([]int64, 0, latenessWaitLimit),
	}
}

// Record adds a lateness in nanoseconds.
func (l *Lateness) Record(late int64) {
	if !l.mutex.TryLock() {
		if len(l.waiting) < cap(l.waiting) {
			l.waiting = append(l.waiting, late)
			return
		}
		l.mutex.Lock()
	}
	for _, earlier := range l.waiting {
		l.add(earlier)
	}
	l.waiting = l.waiting[:0]
	l.add(late)
	l.mutex.Unlock()
}

func (l *Lateness) add(late int64) {
	_ = l.histogram.RecordValue(min(max(late, 0), maxLateness)) // never out of range
}

// Settle counts the values recorded during reads. The recording goroutine calls it at the
// end.
func (l *Lateness) Settle() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, late := range l.waiting {
		l.add(late)
	}
	l.waiting = l.waiting[:0]
}

// Percentiles of lateness in nanoseconds.
type Quantiles struct{ P50, P90, P99, P999, Max int64 }

// MergeLateness returns the percentiles over several threads.
func MergeLateness(all ...*Lateness) Quantiles {
	if len(all) == 1 {
		all[0].mutex.Lock()
		defer all[0].mutex.Unlock()
		return quantiles(all[0].histogram)
	}
	return quantiles(mergeHistograms(all))
}

// CountLateness counts, over several threads, the packets whose lateness is above the
// previous bound and not above each bound. The bounds are in rising nanoseconds. The last
// one also includes everything above it.
func CountLateness(bounds []int64, all ...*Lateness) []int64 {
	counts := make([]int64, len(bounds))
	for _, bar := range mergeHistograms(all).Distribution() {
		bound, _ := slices.BinarySearch(bounds, bar.From)
		counts[min(bound, len(bounds)-1)] += bar.Count
	}
	return counts
}

func mergeHistograms(all []*Lateness) *hdrhistogram.Histogram {
	merged := hdrhistogram.New(1, maxLateness, latenessDigits)
	for _, l := range all {
		l.mutex.Lock()
		merged.Merge(l.histogram)
		l.mutex.Unlock()
	}
	return merged
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	return Quantiles{
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99),
		P999: h.ValueAtQuantile(99.9), Max: h.Max(),
	}
}
