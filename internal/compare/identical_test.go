package compare_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/compare"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// identical makes packets of the same bytes, at gaps that vary.
func identical(count int, gap time.Duration) []stream.Packet {
	random := rand.New(rand.NewPCG(1, 1))
	packets := lab.Packets(1, lab.Start, 0, 80)
	for i := 1; i < count; i++ {
		next := packets[0]
		next.Time = packets[i-1].Time + int64(gap) + random.Int64N(int64(gap)/10+1)
		packets = append(packets, next)
	}
	return packets
}

// Of packets with the same bytes, it costs one to drop one, and the times of the others are
// held against their own.
func TestDropOneOfIdentical(t *testing.T) {
	for _, gap := range []time.Duration{time.Second, 3 * time.Millisecond} {
		packets := identical(5000, gap)
		for _, k := range []int{1, 20, 2500, 4998} {
			capture := slices.Delete(shifted(packets, time.Hour), k, k+1)
			r := mustCompare(t, packets, capture, compare.Options{Events: 10})
			if got, want := countsOf(r), (counts{matched: 4999, missing: 1}); got != want {
				t.Errorf("gap %v, without %d: %+v, wanted %+v", gap, k, got, want)
			}
			if r.GapError.Max != 0 || r.ScheduleError.Max != 0 {
				t.Errorf("gap %v, without %d: the others are taken for each other: %+v", gap, k, r.ScheduleError)
			}
			if len(r.Missing) != 1 || r.Missing[0].Packet != int64(k+1) {
				t.Errorf("gap %v, without %d: %+v", gap, k, r.Missing)
			}
		}
	}
}

// So it is with one that comes twice.
func TestDoubleOneOfIdentical(t *testing.T) {
	packets := identical(5000, time.Second)
	for _, k := range []int{20, 2500, 4998} {
		capture := shifted(packets, time.Hour)
		capture = slices.Insert(capture, k+1, capture[k])
		capture[k+1].Time += 20000
		r := mustCompare(t, packets, capture, compare.Options{})
		if got, want := countsOf(r), (counts{matched: 5000, duplicated: 1}); got != want {
			t.Errorf("%d twice: %+v, wanted %+v", k, got, want)
		}
		if r.GapError.Max != 0 {
			t.Errorf("%d twice: the others are taken for each other", k)
		}
	}
}

// Identical packets come by the thousand among others, with jitter that is more than their
// distance: they are matched in order, and none is missing.
func TestIdenticalWithJitter(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	packets := identical(20000, time.Microsecond)
	for i := range packets {
		if i%7 == 0 {
			packets[i].Data = lab.Frame(1, uint32(i), 80)
		}
	}
	capture := shifted(packets, time.Hour)
	now := int64(0)
	for i := range capture {
		now = max(now, capture[i].Time+random.Int64N(200e3))
		capture[i].Time = now
	}
	r := mustCompare(t, packets, capture, compare.Options{})
	if got, want := countsOf(r), (counts{matched: 20000}); got != want {
		t.Errorf("%+v, wanted %+v", got, want)
	}
}

// Altered packets that are alike are told apart by their times, too.
func TestDropOneOfIdenticalAltered(t *testing.T) {
	packets := identical(3000, 10*time.Millisecond)
	capture := slices.Delete(shifted(packets, time.Hour), 1000, 1001)
	for i := range capture {
		capture[i].Data[22]-- // TTL
		capture[i].Data[24]++ // and checksum
	}
	r := mustCompare(t, packets, capture, compare.Options{Events: 10})
	if r.Altered != 2999 || r.AlteredFields.TTL != 2999 || r.Comparison.Missing != 1 || r.Missing[0].Packet != 1001 || r.GapError.Max != 0 {
		t.Errorf("%+v, missing %+v, gap error %+v", countsOf(r), r.Missing, r.GapError)
	}
}
