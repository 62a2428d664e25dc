package merge

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// moved returns copies of packets with other times.
func moved(packets []stream.Packet, by int64) []stream.Packet {
	packets = slices.Clone(packets)
	for i := range packets {
		packets[i].Time += by
	}
	return packets
}

// shiftedInputs writes captures, and returns inputs that read them: as files and as
// streams, with and without knowledge of their contents.
func shiftedInputs(t *testing.T, random *rand.Rand, captures [][]stream.Packet, again bool) []*Input {
	t.Helper()
	const window = 1e9
	reader := NewCaptures(files.NewPool(8, nil), window, 1<<30)
	runs := NewRuns(int64(random.IntN(2))<<20, t.TempDir(), window, again)
	t.Cleanup(func() { runs.Close() })
	var inputs []*Input
	for i, packets := range captures {
		path := filepath.Join(t.TempDir(), fmt.Sprint(i))
		writeCapture(t, path, packets, []stream.Compression{stream.Uncompressed, stream.LZ4}[random.IntN(2)])
		if random.IntN(3) == 0 {
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			added, err := runs.Add(file, path, "", func(err error) error { return err })
			if err != nil || len(added.Inputs) != 1 {
				t.Fatalf("%d inputs, %v", len(added.Inputs), err)
			}
			inputs = append(inputs, added.Inputs...)
			continue
		}
		contents := Contents{First: packets[0].Time, Earliest: math.MinInt64, Latest: math.MaxInt64, Disorder: UnknownDisorder}
		if random.IntN(2) == 0 {
			var err error
			if contents, err = peek(reader, path); err != nil {
				t.Fatal(err)
			}
		}
		inputs = append(inputs, reader.File(path, contents))
	}
	return inputs
}

// A merge of captures that are shifted is that of captures that were written with these
// times, in every round. A shift back gives the times as they were. With align, all begin
// at the earliest first packet.
func TestShiftedCaptures(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 22))
		var captures, want, aligned [][]stream.Packet
		var shifts []int64
		first := int64(math.MaxInt64)
		for i := range 1 + random.IntN(6) {
			start := lab.Start + random.Int64N(int64(200*24*time.Hour))
			captures = append(captures, capture(random, i, 1+random.IntN(300), start, 1e6, int64(random.IntN(2))*1e7))
			shifts = append(shifts, random.Int64N(int64(400*24*time.Hour))-int64(200*24*time.Hour))
			want = append(want, moved(captures[i], shifts[i]))
			first = min(first, captures[i][0].Time)
		}
		for i := range captures {
			aligned = append(aligned, moved(captures[i], shifts[i]+first-captures[i][0].Time))
		}
		inputs := shiftedInputs(t, random, captures, true)
		shift := func(align bool, sign int64) {
			for i := range inputs {
				inputs[i].Shift = sign * shifts[i]
			}
			if err := ShiftAll(inputs, align); err != nil {
				t.Fatal(err)
			}
		}
		shift(false, 1)
		for range 2 {
			got, late := mergeAll(t, inputs)
			wantOrder(t, got, want)
			if late != 0 {
				t.Fatalf("seed %d: %d late", seed, late)
			}
		}
		shift(false, -1)
		got, _ := mergeAll(t, inputs)
		wantOrder(t, got, captures)
		shift(true, 1)
		got, _ = mergeAll(t, inputs)
		wantOrder(t, got, aligned)
	}
}

// A time that cannot be moved is an error, and never another time.
func TestShiftsThatOverflow(t *testing.T) {
	for _, test := range []struct {
		first, by int64
		fails     bool
	}{
		{math.MaxInt64 - 5, 5, false}, {math.MaxInt64 - 5, 6, true},
		{math.MinInt64 + 5, -4, false}, {math.MinInt64 + 5, -6, true},
		{math.MinInt64, 1, false}, // not known
		{0, math.MinInt64, false},
	} {
		in := &Input{origin: newOrigin("a", "", nil), Start: test.first, First: test.first, End: math.MaxInt64, Shift: test.by}
		err := ShiftAll([]*Input{in}, false)
		var shiftError *ShiftError
		if errors.As(err, &shiftError) != test.fails {
			t.Errorf("%d by %d: %v", test.first, test.by, err)
		}
	}
	far := []*Input{{origin: newOrigin("a", "", nil), First: math.MinInt64 + 1}, {origin: newOrigin("b", "", nil), First: math.MaxInt64}}
	if err := ShiftAll(far, true); err == nil {
		t.Error("aligned over more than 292 years")
	}
	// The first packet can be moved, and another one cannot.
	path := filepath.Join(t.TempDir(), "a")
	packets := []stream.Packet{numbered(1, 0, 0), numbered(2, 0, 1), numbered(4e18, 0, 2), numbered(5, 0, 3)}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := stream.NewWriter(file, stream.WriterOptions{PcapNG: true, LinkType: stream.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writer.Write(packets), writer.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	captures := NewCaptures(files.NewPool(8, nil), 1, 1<<20)
	contents, err := peek(captures, path)
	if err != nil {
		t.Fatal(err)
	}
	in := captures.File(path, contents)
	in.Shift = 6e18
	if err := ShiftAll([]*Input{in}, false); err != nil {
		t.Fatal(err)
	}
	var troubles []error
	m, err := New([]*Input{in}, Options{Trouble: func(_ *Input, err error) error { troubles = append(troubles, err); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	got := read(t, m, 10)
	var shiftError *ShiftError
	if len(got) != 2 || got[0].Time != 6e18+1 || len(troubles) != 1 || !errors.As(troubles[0], &shiftError) {
		t.Errorf("%d packets, %v", len(got), troubles)
	}
}
