package compare_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/compare"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// little is less memory than is used at least, so that leftovers are spilled early.
const little = 1

// others makes packets that none of lab.Packets is like.
func others(count int, start int64, gap time.Duration) []stream.Packet {
	packets := lab.Packets(count, start, gap, 90)
	for i := range packets {
		packets[i].Data[6] ^= 0xff  // a MAC address
		packets[i].Data[42] ^= 0xff // the sequence number
	}
	return packets
}

// However much comes before the replay, only the capture has it, and it costs no exactness.
func TestMuchBefore(t *testing.T) {
	packets := lab.Packets(5000, lab.Start, 50*time.Microsecond, 80)
	before := others(200000, lab.Start+int64(time.Hour)-10e9, 50*time.Microsecond)
	r := mustCompare(t, packets, slices.Concat(before, shifted(packets, time.Hour)), compare.Options{Memory: little, Tmp: t.TempDir()})
	if got, want := countsOf(r), (counts{matched: 5000, extra: 200000}); got != want {
		t.Errorf("%+v, wanted %+v", got, want)
	}
	if r.GapError == nil || r.GapError.Max != 0 {
		t.Errorf("gap error %+v", r.GapError)
	}
	if r.Spilled == 0 {
		t.Error("nothing was spilled")
	}
}

// So it is with a long outage, and with a flood of something else in the middle.
func TestMuchBetween(t *testing.T) {
	packets := lab.Packets(300000, lab.Start, 20*time.Microsecond, 80)
	outage := shifted(slices.Concat(packets[:50000], packets[250000:]), time.Hour)
	r := mustCompare(t, packets, outage, compare.Options{Memory: little, Tmp: t.TempDir()})
	if got, want := countsOf(r), (counts{matched: 100000, missing: 200000}); got != want {
		t.Errorf("outage: %+v, wanted %+v", got, want)
	}
	flood := others(200000, packets[50000].Time+int64(time.Hour)-19e3, 90*time.Nanosecond)
	flooded := slices.Concat(shifted(packets[:50000], time.Hour), flood, shifted(packets[50000:], time.Hour))
	r = mustCompare(t, packets, flooded, compare.Options{Memory: little, Tmp: t.TempDir()})
	if got, want := countsOf(r), (counts{matched: 300000, extra: 200000}); got != want {
		t.Errorf("flood: %+v, wanted %+v", got, want)
	}
}

// What the windows are too small for is found all the same, and counted as displaced.
func TestDisplaced(t *testing.T) {
	packets := lab.Packets(200000, lab.Start, 20*time.Microsecond, 80)
	capture := shifted(packets, time.Hour)
	early := slices.Clone(capture[170000:])
	for i := range early {
		early[i].Time = capture[0].Time
	}
	capture = slices.Concat(early, capture[:170000])
	for _, memory := range []int64{little, 20 << 20} {
		r := mustCompare(t, packets, capture, compare.Options{Memory: memory, Tmp: t.TempDir(), Events: 1000})
		if r.Matched != 200000 || r.Displaced != 30000 || r.Reordered != 0 || len(r.Missing) != 0 || len(r.Extra) != 0 {
			t.Errorf("%+v, %d and %d events", countsOf(r), len(r.Missing), len(r.Extra))
		}
		if (r.Spilled > 0) != (memory == little) {
			t.Errorf("%d bytes spilled with %d bytes of memory", r.Spilled, memory)
		}
	}
}

// Mixtures that are larger than the windows are counted as exactly.
func TestLargeMixture(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	packets := lab.Packets(300000, lab.Start, 10*time.Microsecond, 80)
	var capture []stream.Packet
	var want counts
	for _, p := range shifted(packets, time.Hour) {
		switch random.IntN(10) {
		case 0:
			want.missing++
			continue
		case 1:
			p.Data[22]--
			p.Data[24]++
			want.altered++
			want.fields.TTL++
			want.fields.Checksum++
		case 2:
			capture = append(capture, p)
			want.matched++
			want.duplicated++
		default:
			want.matched++
		}
		capture = append(capture, p)
	}
	extra := others(20000, lab.Start+int64(time.Hour), 150*time.Microsecond)
	capture = append(capture, extra...)
	want.extra = int64(len(extra))
	slices.SortStableFunc(capture, func(a, b stream.Packet) int { return int(a.Time - b.Time) })
	r := mustCompare(t, packets, capture, compare.Options{Memory: little, Tmp: t.TempDir()})
	if got := countsOf(r); got != want {
		t.Errorf("%+v, wanted %+v", got, want)
	}
}

// A capture of nothing but other packets has none in common, however large both are.
func TestNothingInCommon(t *testing.T) {
	r := mustCompare(t, lab.Packets(150000, lab.Start, time.Microsecond, 80), others(170000, lab.Start, time.Microsecond), compare.Options{Memory: little, Tmp: t.TempDir(), Events: 5})
	if got, want := countsOf(r), (counts{missing: 150000, extra: 170000}); got != want {
		t.Errorf("%+v, wanted %+v", got, want)
	}
	if len(r.Missing) != 5 || len(r.Extra) != 5 || r.Missing[4].Packet != 5 {
		t.Errorf("events %+v, %+v", r.Missing, r.Extra)
	}
}

// A capture with a snaplen holds the same packets as one without, on either side, whether
// its header says so or not.
func TestSnaplen(t *testing.T) {
	m := newMixture(7)
	packets := m.reference
	for _, snaplen := range []int{30, 54, 64, 96} {
		for _, inHeader := range []bool{true, false} {
			capture := shifted(packets, time.Hour)
			var want counts
			for i := range capture {
				if data := capture[i].Data; len(data) > snaplen {
					capture[i].Data = data[:snaplen]
					want.framing.Snaplen++
				}
			}
			if !inHeader && snaplen < 96 { // without headers, there is nothing to go by
				continue
			}
			file := lab.Pcap(capture, binary.LittleEndian, true)
			if inHeader {
				binary.LittleEndian.PutUint32(file[16:], uint32(snaplen))
			}
			want.matched = int64(len(packets))
			for _, side := range []compare.Side{compare.Reference, compare.Capture} {
				readers := []*stream.Reader{reader(packets), reader(packets)}
				readers[side] = stream.NewReader(bytes.NewReader(file))
				r, err := compare.Compare(readers[0], readers[1], compare.Options{Memory: memory})
				if err != nil {
					t.Fatal(err)
				}
				if got := countsOf(r); got != want {
					t.Errorf("snaplen %d, in the header %v, of the %v: %+v, wanted %+v", snaplen, inHeader, side, got, want)
				}
			}
		}
	}
}

// Captures of different link types are compared without MAC addresses.
func TestLinkTypes(t *testing.T) {
	packets := lab.Packets(1000, lab.Start, time.Millisecond, 80)
	raw := shifted(packets, time.Hour)
	for i := range raw {
		raw[i].Data, raw[i].LinkType = raw[i].Data[14:], stream.LinkTypeRaw
		raw[i].WireLength -= 14
	}
	file := lab.Pcap(raw, binary.LittleEndian, true)
	binary.LittleEndian.PutUint32(file[20:], uint32(stream.LinkTypeRaw))
	r, err := compare.Compare(reader(packets), stream.NewReader(bytes.NewReader(file)), compare.Options{Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	if r.Matched != 1000 || !r.LinkTypesDiffer || r.Reference.LinkName != "EN10MB" || r.Capture.LinkName != "RAW" || r.Framing.Padding != 0 {
		t.Errorf("%+v", r.Comparison)
	}
	binary.LittleEndian.PutUint32(file[20:], uint32(stream.LinkTypeIEEE80211))
	if _, err = compare.Compare(reader(packets), stream.NewReader(bytes.NewReader(file)), compare.Options{Memory: memory}); !errors.Is(err, compare.ErrLinkTypes) {
		t.Errorf("%v, wanted %v", err, compare.ErrLinkTypes)
	}
}

// Damage on either side is said, and what is around it is compared.
func TestDamage(t *testing.T) {
	packets := lab.Packets(1000, lab.Start, time.Millisecond, 80)
	file := lab.Pcap(packets, binary.LittleEndian, true)
	broken := bytes.Clone(file)
	clear(broken[24+500*96:][:200])
	for _, side := range []compare.Side{compare.Reference, compare.Capture} {
		sources := [][]byte{file, file}
		sources[side] = broken
		var said []compare.Side
		r, err := compare.Compare(stream.NewReader(bytes.NewReader(sources[0])), stream.NewReader(bytes.NewReader(sources[1])), compare.Options{
			Memory: memory, Damaged: func(side compare.Side, _ *stream.Damage) error { said = append(said, side); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		checkSums(t, r)
		if len(said) != 1 || said[0] != side {
			t.Errorf("damage of %v: said %v", side, said)
		}
		if r.Reference.Damaged+r.Capture.Damaged != 1 || r.Matched < 990 || r.Comparison.Missing+r.Comparison.Extra != 1000-r.Matched {
			t.Errorf("%+v", r.Comparison)
		}
	}
	if _, err := compare.Compare(reader(packets), stream.NewReader(bytes.NewReader([]byte("no capture at all, but a text"))), compare.Options{Memory: memory}); !errors.Is(err, stream.ErrNotCapture) {
		t.Errorf("%v, wanted %v", err, stream.ErrNotCapture)
	}
}
