package survey_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// checkSpread requires every packet in a column, for any number of columns.
func checkSpread(t *testing.T, rate *survey.Rate, start, end int64, packets float64) {
	t.Helper()
	for _, count := range []int{1, 7, 1000} {
		columns := make([]float64, count)
		rate.Spread(columns, start, end)
		sum := 0.
		for _, c := range columns {
			if c < 0 || math.IsNaN(c) {
				t.Errorf("a column of %g packets", c)
			}
			sum += c
		}
		if math.Abs(sum-packets) > packets*1e-6 {
			t.Errorf("%g packets in %d columns, wanted %g", sum, count, packets)
		}
	}
}

func rateOf(t *testing.T, packets []stream.Packet) *survey.Rate {
	t.Helper()
	var rate survey.Rate
	if _, err := survey.Take(stream.NewReader(bytes.NewReader(pcap(packets))), &rate); err != nil {
		t.Fatal(err)
	}
	return &rate
}

func TestRateHoldsEveryPacket(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		packets := lab.Packets(1+random.IntN(3000), 0, 0, 60)
		earliest, latest := int64(math.MaxInt64), int64(math.MinInt64)
		length := int64(1) << random.IntN(62)
		for i := range packets {
			packets[i].Time = min(random.Int64N(length)+int64(round)*7777777, math.MaxUint32*1e9)
			earliest, latest = min(earliest, packets[i].Time), max(latest, packets[i].Time)
		}
		checkSpread(t, rateOf(t, packets), earliest, latest, float64(len(packets)))
	}
}

// Two bursts remain two bursts at their times.
func TestRateKeepsShape(t *testing.T) {
	packets := append(lab.Packets(1000, lab.Start, 1000, 60), lab.Packets(500, lab.Start+75e9, 1000, 60)...)
	packets = append(packets, lab.Packets(1, lab.Start+100e9, 1, 60)...)
	columns := make([]float64, 10)
	rateOf(t, packets).Spread(columns, lab.Start, lab.Start+100e9)
	for column, want := range []float64{1000, 0, 0, 0, 0, 0, 0, 500, 0, 1} {
		if math.Abs(columns[column]-want) > 0.01 {
			t.Errorf("column %d: %g packets, wanted %g", column, columns[column], want)
		}
	}
}

// The same packets in any order give the same picture.
func TestRateDoesNotDependOnOrder(t *testing.T) {
	packets := lab.Packets(2000, lab.Start, 3_456_789, 60)
	want := make([]float64, 50)
	rateOf(t, packets).Spread(want, lab.Start, packets[1999].Time)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
	got := make([]float64, 50)
	rateOf(t, packets).Spread(got, lab.Start, lab.Start+1999*3_456_789)
	for i := range want {
		if math.Abs(got[i]-want[i]) > 5 { // one bucket of tolerance at the borders
			t.Errorf("column %d: %g, wanted %g", i, got[i], want[i])
		}
	}
}
