package schedule

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pcap-replay/stream"
)

// ms makes a section of packets at so many milliseconds.
func ms(times ...int64) []stream.Packet {
	packets := make([]stream.Packet, len(times))
	for i, t := range times {
		packets[i] = stream.Packet{Time: t * 1e6, WireLength: 100}
	}
	return packets
}

// departures plays sections and gives departures in milliseconds.
func departures(scale TimeScale, sections ...[]stream.Packet) (result []float64) {
	axis := NewAxis(scale)
	for _, section := range sections {
		axis.BeginSection()
		for i := range section {
			result = append(result, float64(axis.Departure(&section[i]))/1e6)
		}
	}
	return result
}

func speed(t testing.TB, text string) Speed {
	s, err := ParseSpeed(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAxis(t *testing.T) {
	rate := func(perSecond float64) Rate {
		r, err := NewRate(perSecond)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	untimed := ms(100, 120, 0, 140)
	untimed[2].Untimed, untimed[2].Time = true, untimed[1].Time
	noTimes := []stream.Packet{{Untimed: true}, {Untimed: true}}
	for _, test := range []struct {
		name     string
		scale    TimeScale
		sections [][]stream.Packet
		want     []float64
	}{
		{"gaps are kept", TimeScale{}, [][]stream.Packet{ms(100, 101, 150)}, []float64{0, 1, 50}},
		{"equal times leave together", TimeScale{}, [][]stream.Packet{ms(5, 5, 5, 6)}, []float64{0, 0, 0, 1}},
		{"speed 1.9", TimeScale{Speed: speed(t, "1.9")}, [][]stream.Packet{ms(0, 19, 190)}, []float64{0, 10, 100}},
		{"speed 0.5", TimeScale{Speed: speed(t, "0.5")}, [][]stream.Packet{ms(0, 19, 190)}, []float64{0, 38, 380}},
		{"speed 1/3", TimeScale{Speed: speed(t, "1/3")}, [][]stream.Packet{ms(0, 1, 7)}, []float64{0, 3, 21}},
		{"fit", TimeScale{Speed: Fit(100e6, time.Second)}, [][]stream.Packet{ms(50, 75, 150)}, []float64{0, 250, 1000}},
		{"fit of nothing", TimeScale{Speed: Fit(0, time.Second)}, [][]stream.Packet{ms(50, 50)}, []float64{0, 0}},
		{"out of order goes at once", TimeScale{}, [][]stream.Packet{ms(100, 150, 120, 90, 160)}, []float64{0, 50, 50, 50, 60}},
		{"untimed goes with the packet before", TimeScale{}, [][]stream.Packet{untimed}, []float64{0, 20, 20, 40}},
		{"max gap", TimeScale{MaxGap: 10 * time.Millisecond}, [][]stream.Packet{ms(0, 5, 1000, 1003, 9000)}, []float64{0, 5, 15, 18, 28}},
		{"max gap is of departures", TimeScale{MaxGap: 10 * time.Millisecond, Speed: speed(t, "0.5")},
			[][]stream.Packet{ms(0, 5, 6, 20)}, []float64{0, 10, 12, 22}},
		{"pps", TimeScale{Packets: rate(500)}, [][]stream.Packet{ms(0, 5, 5), ms(0, 900)}, []float64{0, 2, 4, 6, 8}},
		{"pps under one", TimeScale{Packets: rate(0.5)}, [][]stream.Packet{ms(0, 5, 5)}, []float64{0, 2000, 4000}},
		{"bps", TimeScale{Bits: rate(800e3)}, [][]stream.Packet{ms(0, 5, 5)}, []float64{0, 1, 2}},
		{"a later section keeps its gap", TimeScale{}, [][]stream.Packet{ms(0, 10), ms(30, 40)}, []float64{0, 10, 30, 40}},
		{"a section that starts as the last one ends", TimeScale{}, [][]stream.Packet{ms(0, 10), ms(10, 20)}, []float64{0, 10, 10, 20}},
		{"a loop follows after the mean gap", TimeScale{}, [][]stream.Packet{ms(0, 1, 20), ms(0, 1, 20), ms(0, 1, 20)},
			[]float64{0, 1, 20, 30, 31, 50, 60, 61, 80}},
		{"a loop at twice the speed", TimeScale{Speed: speed(t, "2")}, [][]stream.Packet{ms(0, 1, 20), ms(0, 1, 20)},
			[]float64{0, 0.5, 10, 15, 15.5, 25}},
		{"an overlapping section", TimeScale{}, [][]stream.Packet{ms(0, 10, 20), ms(15, 30)}, []float64{0, 10, 20, 30, 45}},
		{"a loop of one packet", TimeScale{}, [][]stream.Packet{ms(7), ms(7), ms(7)}, []float64{0, 1, 2}},
		{"a loop of equal times", TimeScale{}, [][]stream.Packet{ms(7, 7), ms(7, 7)}, []float64{0, 0, 1, 1}},
		{"a loop without timestamps", TimeScale{}, [][]stream.Packet{noTimes, noTimes, ms(5, 6), noTimes}, []float64{0, 0, 1, 1, 1, 2, 2, 2}},
		{"one packet takes the mean gap of before", TimeScale{}, [][]stream.Packet{ms(0, 4, 8), ms(8), ms(8)}, []float64{0, 4, 8, 8, 12}},
		{"empty sections", TimeScale{}, [][]stream.Packet{ms(), ms(3, 4), ms(), ms(8)}, []float64{0, 1, 5}},
		{"out of order at the end of a section", TimeScale{}, [][]stream.Packet{ms(0, 10, 5), ms(12)}, []float64{0, 10, 10, 12}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := departures(test.scale, test.sections...); !slices.Equal(got, test.want) {
				t.Errorf("departures %v, wanted %v", got, test.want)
			}
		})
	}
}

// A share of a set leaves as the set does, though its first packet is a later one.
func TestAxisStartsBeforeTheFirstPacket(t *testing.T) {
	for _, c := range []struct {
		start, first int64
		want         int64
	}{{50e6, 100e6, 25e6}, {100e6, 100e6, 0}, {120e6, 100e6, 0}, {math.MinInt64, math.MaxInt64, math.MaxInt64 / 2}} {
		axis := NewAxis(TimeScale{Speed: speed(t, "2")})
		axis.StartAt(c.start)
		axis.BeginSection()
		for i, want := range []int64{c.want, c.want} {
			if got := axis.Departure(&stream.Packet{Time: c.first}); got != want {
				t.Errorf("packet %d of %d leaves at %d, wanted %d", i, c.first, got, want)
			}
		}
	}
}

func TestAxisCountsDisorder(t *testing.T) {
	axis := NewAxis(TimeScale{})
	for _, packet := range ms(100, 150, 120, 90, 160) {
		axis.Departure(&packet)
	}
	if packets, most := axis.OutOfOrder(); packets != 2 || most != 60e6 {
		t.Errorf("out of order: %d packets by up to %d ns, wanted 2 and 60 ms", packets, most)
	}
}

// TestAxisIsExact compares with rationals, for a stream of years.
func TestAxisIsExact(t *testing.T) {
	const year = int64(365 * 24 * time.Hour)
	for _, text := range []string{"1.9", "0.5", "1", "2", "1/3", "3.14159265358979", "0.000001", "1e6"} {
		axis := NewAxis(TimeScale{Speed: speed(t, text)})
		ratio, _ := new(big.Rat).SetString(text)
		for _, elapsed := range []int64{0, 1, 999, 1e9 + 7, year + 12345, 100*year + 1} {
			packet := stream.Packet{Time: elapsed - 50*year}
			if elapsed == 0 {
				packet.Time = -50 * year
			}
			want := new(big.Rat).Quo(new(big.Rat).SetInt64(elapsed), ratio)
			floor := new(big.Int).Quo(want.Num(), want.Denom())
			if !floor.IsInt64() {
				floor = big.NewInt(math.MaxInt64)
			}
			if got := axis.Departure(&packet); got != floor.Int64() {
				t.Errorf("speed %s: %d ns become %d, wanted %v", text, elapsed, got, floor)
			}
		}
	}
}

// FuzzAxis: departures never fall and never overflow, whatever the timestamps.
func FuzzAxis(f *testing.F) {
	f.Add(uint64(1), "1", int64(0), uint8(0))
	f.Add(uint64(2), "0.00000001", int64(1), uint8(3))
	f.Add(uint64(3), "100000000", int64(time.Hour), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, speedText string, maxGap int64, mode uint8) {
		scale := TimeScale{MaxGap: time.Duration(maxGap)}
		var err error
		if scale.Speed, err = ParseSpeed(speedText); err != nil {
			return
		}
		random := rand.New(rand.NewPCG(seed, 0))
		switch mode % 4 {
		case 1:
			scale.Packets = Rate(random.Uint64N(1<<50) + 1)
		case 2:
			scale.Bits = Rate(random.Uint64N(1<<50) + 1)
		}
		axis, last := NewAxis(scale), int64(0)
		for range 200 {
			packet := stream.Packet{Time: int64(random.Uint64() >> random.UintN(64)), WireLength: random.Uint32(), Untimed: random.IntN(8) == 0}
			if random.IntN(2) == 0 {
				packet.Time = -packet.Time
			}
			if random.IntN(10) == 0 {
				axis.BeginSection()
			}
			departure := axis.Departure(&packet)
			if departure < last {
				t.Fatalf("departure %d after %d", departure, last)
			}
			last = departure
		}
	})
}

func TestSpeeds(t *testing.T) {
	for _, text := range []string{"", "x", "0", "-1", "1e-9", "1e9", "1/0", "inf", "NaN", "1e999999999", "0x"} {
		if s, err := ParseSpeed(text); err == nil {
			t.Errorf("speed %q is %v, wanted an error", text, s)
		}
	}
	// More digits than two words hold.
	if got := speed(t, "1.33333333333333333333333333333333").departures(4e18); got < 3e18-2 || got > 3e18+2 {
		t.Errorf("4/3 makes %d of 4e18", got)
	}
	for _, perSecond := range []float64{0, -1, 1e-7, 1e300, math.Inf(1), math.NaN()} {
		if r, err := NewRate(perSecond); err == nil {
			t.Errorf("rate %v is %d, wanted an error", perSecond, r)
		}
	}
}

func TestLongRates(t *testing.T) {
	r, err := NewRate(3)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.departure(3e9), int64(1e18); got != want {
		t.Errorf("3e9 packets at 3 pps take %d ns, wanted %d", got, want)
	}
	if got := r.departure(math.MaxUint64); got != math.MaxInt64 {
		t.Errorf("overflow gives %d", got)
	}
}

// TestRoundsAreAsFarApart as pcap-pace plays them, whatever is played.
func TestRoundsAreAsFarApart(t *testing.T) {
	untimed := ms(100, 120, 0, 140)
	untimed[2].Untimed = true
	for name, packets := range map[string][]stream.Packet{
		"in order":                ms(0, 1, 20),
		"one packet":              ms(7),
		"equal times":             ms(7, 7, 7),
		"out of order":            ms(10, 20, 5, 15),
		"a clock that steps back": ms(1000, 1010, 1, 11, 21),
		"some without timestamps": untimed,
		"no timestamps":           {{Untimed: true}, {Untimed: true}},
		"all of time":             {{Time: math.MinInt64}, {Time: math.MaxInt64}},
	} {
		var span Span
		span.Add(packets[:1])
		span.Add(packets[1:])
		axis := NewAxis(TimeScale{})
		for round := range int64(3) {
			axis.BeginSection()
			for i := range packets {
				departure := axis.Departure(&packets[i])
				if want := new(big.Int).Mul(big.NewInt(round), big.NewInt(span.Round())); i == 0 && departure != clamp(want) {
					t.Errorf("%s: round %d departs at %d, wanted %v", name, round, departure, want)
				}
			}
		}
	}
}

func clamp(x *big.Int) int64 {
	if x.IsInt64() {
		return x.Int64()
	}
	return math.MaxInt64
}
