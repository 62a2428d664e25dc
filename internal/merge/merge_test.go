package merge

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// numbered makes a packet that has its number in its data.
func numbered(time int64, input, number int) stream.Packet {
	data := binary.BigEndian.AppendUint32(nil, uint32(input))
	data = binary.BigEndian.AppendUint32(data, uint32(number))
	data = append(data, make([]byte, number%90)...)
	return stream.Packet{Time: time, Data: data, WireLength: uint32(len(data)) + 7, LinkType: stream.LinkTypeEthernet}
}

type packetID struct{ input, number int }

func identify(p *stream.Packet) packetID {
	return packetID{int(binary.BigEndian.Uint32(p.Data)), int(binary.BigEndian.Uint32(p.Data[4:]))}
}

// capture makes packets of one input. Times grow in steps of up to 2 * gap, and some packets
// come up to disorder too late.
func capture(random *rand.Rand, input, count int, start, gap, disorder int64) []stream.Packet {
	packets := make([]stream.Packet, count)
	now := start
	for i := range packets {
		now += random.Int64N(2*gap + 1)
		time := now
		if disorder > 0 && random.IntN(4) == 0 {
			time = max(start, now-random.Int64N(disorder+1))
		}
		packets[i] = numbered(time, input, i)
	}
	return packets
}

func writeCapture(t testing.TB, path string, packets []stream.Packet, compression stream.Compression) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := stream.NewWriter(file, stream.WriterOptions{Compression: compression, LinkType: stream.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(packets), w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// strict fails at any error of an input.
func strict(input *Input, err error) error { return fmt.Errorf("%v: %w", input, err) }

// read reads all packets and copies them. It overwrites the data of the Merger, as a caller may.
func read(t testing.TB, r *Merger, batchSize int) []stream.Packet {
	t.Helper()
	var all []stream.Packet
	batch := make([]stream.Packet, batchSize)
	for {
		n, err := r.Read(batch)
		for _, p := range batch[:n] {
			given := p.Data
			p.Data = bytes.Clone(given)
			clear(given)
			all = append(all, p)
		}
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mergeAll(t testing.TB, inputs []*Input) (packets []stream.Packet, late int64) {
	t.Helper()
	m, err := New(inputs, Options{Trouble: strict})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	return read(t, m, 64), m.Late()
}

func byTime(a, b stream.Packet) int { return cmp.Compare(a.Time, b.Time) }

// wantOrder checks that got has all packets of the inputs, stably sorted by time.
func wantOrder(t testing.TB, got []stream.Packet, inputs [][]stream.Packet) {
	t.Helper()
	want := slices.Concat(inputs...)
	slices.SortStableFunc(want, byTime)
	if len(got) != len(want) {
		t.Fatalf("got %d packets, wanted %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Time != want[i].Time || !bytes.Equal(got[i].Data, want[i].Data) || got[i].WireLength != want[i].WireLength || got[i].LinkType != want[i].LinkType {
			t.Fatalf("packet %d: got %v at %d, wanted %v at %d", i, identify(&got[i]), got[i].Time, identify(&want[i]), want[i].Time)
		}
	}
}

// TestSortedStableComplete merges random inputs, as files of all kinds and as a stream of
// sections, and compares the result with a stable sort.
func TestSortedStableComplete(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			window := int64(1) << random.IntN(40)
			gap := int64(1) << random.IntN(30)
			folder := t.TempDir()
			var inputs [][]stream.Packet
			var paths []string
			for i := range 1 + random.IntN(12) {
				disorder := int64(0)
				if random.IntN(2) == 0 {
					disorder = window
				}
				start := lab.Start + random.Int64N(300*gap+1)
				packets := capture(random, i, random.IntN(900), start, gap, disorder)
				path := filepath.Join(folder, fmt.Sprint(i))
				compression := []stream.Compression{stream.Uncompressed, stream.Uncompressed, stream.Gzip, stream.LZ4}[random.IntN(4)]
				writeCapture(t, path, packets, compression)
				inputs, paths = append(inputs, packets), append(paths, path)
			}
			pool := files.NewPool(1+random.IntN(20), nil)
			for _, peeked := range []bool{true, false} {
				// Reading ahead must not run out of memory here, because that makes
				// the window shorter.
				captures := NewCaptures(pool, window, 1<<30)
				var list []*Input
				for _, path := range paths {
					contents, err := peek(captures, path)
					if err != nil {
						t.Fatal(err)
					}
					if !peeked {
						contents.Disorder = UnknownDisorder
					}
					input := captures.File(path, contents)
					openWith(input, minBlockSize<<random.IntN(7)) // of small blocks, a window is many
					list = append(list, input)
				}
				got, late := mergeAll(t, list)
				wantOrder(t, got, inputs)
				if late != 0 {
					t.Errorf("%d packets late", late)
				}
			}
			if pool.Descriptors() != 0 {
				t.Errorf("%d files left open", pool.Descriptors())
			}
			runs := NewRuns(random.Int64N(200000), folder, window, true)
			defer runs.Close()
			runs.spill.writeCost = []float64{0, 1e6}[random.IntN(2)] // as on a fast and on a slow disk
			list := addSections(t, runs, paths)
			for range 2 {
				got, _ := mergeAll(t, list)
				wantOrder(t, got, inputs)
			}
		})
	}
}

// addSections makes runs of concatenated files.
func addSections(t testing.TB, runs *Runs, paths []string) []*Input {
	t.Helper()
	var sections []io.Reader
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sections = append(sections, bytes.NewReader(data))
	}
	added, err := runs.Add(io.NopCloser(io.MultiReader(sections...)), "-", "", func(err error) error { return err })
	if err != nil {
		t.Fatal(err)
	}
	if added.Sections != len(paths) {
		t.Errorf("%d sections, wanted %d", added.Sections, len(paths))
	}
	return added.Inputs
}

// TestLateGoesOutAtOnce merges packets that are out of order by more than the window, with
// and without others that are not.
func TestLateGoesOutAtOnce(t *testing.T) {
	for _, c := range []struct {
		times, want []int64
		disorder    int64
		late        int64
	}{
		{times: []int64{10, 20, 30, 9, 40, 24, 50}, want: []int64{10, 20, 30, 9, 40, 24, 50}, disorder: 0, late: 2},
		{times: []int64{10, 20, 30, 16, 40, 50}, want: []int64{10, 16, 20, 30, 40, 50}, disorder: 14, late: 0},
		{times: []int64{10, 9, 30, 15, 40}, want: []int64{9, 10, 15, 30, 40}, disorder: 15, late: 0},
		{times: []int64{20, 19, 1, 21, 40}, want: []int64{19, 20, 1, 21, 40}, disorder: 1, late: 1},
	} {
		var packets []stream.Packet
		for i, at := range c.times {
			packets = append(packets, numbered(lab.Start+at*1e9, 0, i))
		}
		path := filepath.Join(t.TempDir(), "a")
		writeCapture(t, path, packets, stream.Uncompressed)
		captures := NewCaptures(files.NewPool(8, nil), 15e9, 1<<20)
		contents, err := peek(captures, path)
		if err != nil {
			t.Fatal(err)
		}
		if contents.Disorder != c.disorder*1e9 || contents.Sections != 1 || contents.First != packets[0].Time {
			t.Errorf("%v: peek: %+v", c.times, contents)
		}
		for _, disorder := range []int64{contents.Disorder, UnknownDisorder} {
			contents.Disorder = disorder
			got, late := mergeAll(t, []*Input{captures.File(path, contents)})
			var order []int64
			for _, p := range got {
				order = append(order, (p.Time-lab.Start)/1e9)
			}
			if !slices.Equal(order, c.want) || late != c.late {
				t.Errorf("%v: order %v with %d late, wanted %v with %d", c.times, order, late, c.want, c.late)
			}
		}
	}
}

// TestNothingIsLost merges packets in any order. The result need not be sorted, but must have
// all packets.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		folder := t.TempDir()
		captures := NewCaptures(files.NewPool(4, nil), random.Int64N(1e6), 0)
		captures.blocks = newBlocks(random.Int64N(4000)) // less than a window, or a block
		want := map[packetID]bool{}
		var list []*Input
		for i := range 6 {
			packets := make([]stream.Packet, random.IntN(3000))
			for n := range packets {
				packets[n] = numbered(lab.Start+random.Int64N(1e7), i, n)
				want[packetID{i, n}] = true
			}
			path := filepath.Join(folder, fmt.Sprint(i))
			writeCapture(t, path, packets, []stream.Compression{stream.Uncompressed, stream.Gzip}[i%2])
			contents, err := peek(captures, path)
			if err != nil {
				t.Fatal(err)
			}
			if i < 4 {
				contents.Disorder = UnknownDisorder
			}
			list = append(list, captures.File(path, contents))
		}
		got, late := mergeAll(t, list)
		if late == 0 && len(got) > 1000 {
			t.Error("no packet was late")
		}
		for i := range got {
			id := identify(&got[i])
			if !want[id] {
				t.Fatalf("packet %v twice", id)
			}
			delete(want, id)
		}
		if len(want) > 0 {
			t.Fatalf("%d packets lost", len(want))
		}
	}
}

// TestInputsThatStartTogetherShareTheMemory opens inputs one after another that all have to
// be held in memory. The first ones must give back what they got while there were few.
func TestInputsThatStartTogetherShareTheMemory(t *testing.T) {
	const inputs = 24
	packets := make([]stream.Packet, 16000)
	for i := range packets {
		packets[i] = stream.Packet{Time: lab.Start + int64(i), Data: make([]byte, 1000), WireLength: 1000, LinkType: stream.LinkTypeEthernet}
	}
	file := lab.Pcap(packets, binary.LittleEndian, true)
	captures := NewCaptures(files.NewPool(1, nil), 1e9, minMemory)
	var list []*Input
	for i := range inputs {
		list = append(list, captures.Input(fmt.Sprint(i), "", Contents{Disorder: UnknownDisorder}, func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(file)), nil
		}))
	}
	merger, err := New(list, Options{Trouble: strict})
	if err != nil {
		t.Fatal(err)
	}
	defer merger.Close()
	limit := int64(minMemory + inputs*(minAhead+1)*stream.DefaultBlockSize)
	batch, got := make([]stream.Packet, 500), 0
	for {
		n, err := merger.Read(batch)
		got += n
		if used := captures.blocks.used.Load(); used > limit {
			t.Fatalf("%d bytes in use, wanted at most %d", used, limit)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if used := captures.blocks.used.Load(); got != inputs*len(packets) || used != 0 {
		t.Errorf("%d packets, wanted %d; %d bytes in use at the end", got, inputs*len(packets), used)
	}
}

// fakeReader returns a list of batches and errors.
type fakeReader struct {
	steps  []fakeStep
	closed *int
}

type fakeStep struct {
	packets []stream.Packet
	err     error
}

func (f *fakeReader) Next() ([]stream.Packet, error) {
	if len(f.steps) == 0 {
		return nil, io.EOF
	}
	step := f.steps[0]
	f.steps = f.steps[1:]
	return step.packets, step.err
}

func (f *fakeReader) Close() error { *f.closed++; return nil }

func fakeInput(name string, start int64, closed *int, steps ...fakeStep) *Input {
	return &Input{Start: start, origin: newOrigin(name, "", func(*Input, int) (Reader, error) {
		return &fakeReader{slices.Clone(steps), closed}, nil
	})}
}

// goneInput cannot be opened.
func goneInput(name string, start int64) *Input {
	return &Input{Start: start, origin: newOrigin(name, "", func(*Input, int) (Reader, error) { return nil, os.ErrNotExist })}
}

// openWith makes an input be read in blocks of a size.
func openWith(input *Input, size int) {
	origin := *input.origin
	input.origin = &Origin{path: origin.path, archive: origin.archive, open: func(in *Input, _ int) (Reader, error) { return origin.open(in, size) }}
}

func peek(captures *Captures, path string) (Contents, error) {
	peeker := captures.NewPeeker()
	defer peeker.Close()
	return peeker.Peek(path)
}

func at(times ...int64) (packets []stream.Packet) {
	for _, time := range times {
		packets = append(packets, numbered(time, 0, int(time)))
	}
	return packets
}

// TestFileThatBeginsOutOfOrder merges a file that is too large to be read before the merge,
// and whose first packet is not the earliest.
func TestFileThatBeginsOutOfOrder(t *testing.T) {
	captures := NewCaptures(files.NewPool(8, nil), 1e9, 256<<20)
	var list []*Input
	var inputs [][]stream.Packet
	for i := range 2 {
		packets := capture(rand.New(rand.NewPCG(8, uint64(i))), i, 100_000, lab.Start, 1e6, 0)
		packets[0].Time += int64(i) * 1e9
		path := filepath.Join(t.TempDir(), "capture")
		writeCapture(t, path, packets, stream.Uncompressed)
		contents, err := peek(captures, path)
		if err != nil || contents.Disorder != UnknownDisorder {
			t.Fatalf("%+v, error %v", contents, err)
		}
		list = append(list, captures.File(path, contents))
		inputs = append(inputs, packets)
	}
	got, late := mergeAll(t, list)
	wantOrder(t, got, inputs)
	if late != 0 {
		t.Errorf("%d packets late", late)
	}
}

func TestTroubleEndsOneInput(t *testing.T) {
	closed := 0
	damage := &stream.Damage{Reason: "broken"}
	disk := errors.New("disk on fire")
	gone := goneInput("gone", 3)
	inputs := []*Input{
		fakeInput("damaged", 1, &closed, fakeStep{at(1, 4), damage}, fakeStep{nil, damage}, fakeStep{at(5), io.EOF}),
		fakeInput("failing", 2, &closed, fakeStep{at(2, 6), disk}, fakeStep{at(7), nil}),
		gone,
		fakeInput("whole", 3, &closed, fakeStep{at(3), nil}, fakeStep{at(8), nil}),
	}
	var said []string
	m, err := New(inputs, Options{Trouble: func(input *Input, err error) error {
		said = append(said, fmt.Sprintf("%v: %v", input, err))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, p := range read(t, m, 16) {
		got = append(got, p.Time)
	}
	if want := []int64{1, 2, 3, 4, 5, 6, 8}; !slices.Equal(got, want) {
		t.Errorf("got %v, wanted %v", got, want)
	}
	if len(said) != 4 || closed != 3 {
		t.Errorf("%d inputs closed, wanted 3; said %q", closed, said)
	}
	m, _ = New(inputs, Options{Trouble: strict})
	closed = 0
	if _, err := m.Read(make([]stream.Packet, 4)); !errors.Is(err, damage) {
		t.Errorf("strict: got %v", err)
	}
	m.Close()
	if closed != 2 {
		t.Errorf("strict: %d inputs closed, wanted 2: the second was open ahead", closed)
	}
}

// TestTroubleAheadIsToldInTime opens an input before its start, which fails. The error is
// reported at the start.
func TestTroubleAheadIsToldInTime(t *testing.T) {
	gone := goneInput("gone", 5)
	whole := fakeInput("whole", 1, new(int), fakeStep{at(1), nil}, fakeStep{at(5), io.EOF})
	m, err := New([]*Input{gone, whole}, Options{Trouble: strict})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	batch := make([]stream.Packet, 4)
	if n, err := m.Read(batch); n != 1 || err != nil {
		t.Errorf("before its time: %d packets, error %v", n, err)
	}
	if _, err := m.Read(batch); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("at its time: got %v", err)
	}
}

func TestInputsAreOpenedWhenTheirTimeComes(t *testing.T) {
	open, most := 0, 0
	var inputs []*Input
	for i := range 100 {
		packets := []stream.Packet{numbered(int64(10*i), i, 0), numbered(int64(10*i+15), i, 1)}
		inputs = append(inputs, &Input{Start: int64(10 * i), origin: newOrigin(fmt.Sprint(i), "", func(*Input, int) (Reader, error) {
			open++
			most = max(most, open)
			return &countedReader{fakeReader{[]fakeStep{{packets, io.EOF}}, new(int)}, &open}, nil
		})})
	}
	slices.Reverse(inputs)
	got, late := mergeAll(t, inputs)
	if len(got) != 200 || late != 0 || most > 3 || open != 0 {
		t.Errorf("%d packets, %d late; %d inputs were open at once, %d still are", len(got), late, most, open)
	}
}

type countedReader struct {
	fakeReader
	open *int
}

func (c *countedReader) Close() error { *c.open--; return nil }

func TestEqualTimesKeepTheOrderOfInputs(t *testing.T) {
	for _, count := range []int{1, 2, 3, 7, 8, 9, 33} {
		var inputs []*Input
		for i := range count {
			packets := []stream.Packet{numbered(5, i, 0), numbered(5, i, 1), numbered(6, i, 2)}
			inputs = append(inputs, fakeInput(fmt.Sprint(i), 5, new(int), fakeStep{packets[:1], nil}, fakeStep{packets[1:], nil}))
		}
		got, _ := mergeAll(t, inputs)
		if len(got) != 3*count {
			t.Fatalf("%d packets of %d inputs", len(got), count)
		}
		for i := range got {
			want := packetID{i / 2, i % 2}
			if i >= 2*count {
				want = packetID{i - 2*count, 2}
			}
			if id := identify(&got[i]); id != want {
				t.Fatalf("%d inputs: packet %d is %v, wanted %v", count, i, id, want)
			}
		}
	}
}

func TestLinkTypesNameBothInputs(t *testing.T) {
	raw := at(2)
	raw[0].LinkType = stream.LinkTypeRaw
	inputs := []*Input{fakeInput("a.pcap", 1, new(int), fakeStep{at(1), nil}), fakeInput("b.pcap", 2, new(int), fakeStep{raw, nil})}
	m, err := New(inputs, Options{Trouble: strict})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]stream.Packet, 8)
	for err == nil {
		_, err = m.Read(batch)
	}
	const want = "a.pcap has link type EN10MB, b.pcap has RAW: a pcap holds only one link type"
	if err.Error() != want {
		t.Errorf("got %q, wanted %q", err, want)
	}
	inputs[0].LinkType, inputs[0].HasLinkType = stream.LinkTypeEthernet, true
	inputs[1].LinkType, inputs[1].HasLinkType = stream.LinkTypeRaw, true
	if _, err := New(inputs, Options{}); err == nil || err.Error() != want {
		t.Errorf("known before: got %v", err)
	}
	m, err = New(inputs, Options{Trouble: strict, Mixed: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, m, 8); len(got) != 2 {
		t.Errorf("mixed: %d packets, wanted 2", len(got))
	}
}

// TestFewDescriptors merges overlapping files with fewer descriptors than files.
func TestFewDescriptors(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	folder := t.TempDir()
	pool := files.NewPool(3, nil)
	captures := NewCaptures(pool, 1e9, 1<<20)
	var inputs [][]stream.Packet
	var list []*Input
	for i := range 50 {
		packets := capture(random, i, 2000, lab.Start, 1e6, 0)
		path := filepath.Join(folder, fmt.Sprint(i))
		writeCapture(t, path, packets, stream.Uncompressed)
		inputs = append(inputs, packets)
		list = append(list, captures.File(path, Contents{First: packets[0].Time, Earliest: lab.Start, Disorder: UnknownDisorder}))
	}
	m, err := New(list, Options{Trouble: strict})
	if err != nil {
		t.Fatal(err)
	}
	var got []stream.Packet
	batch := make([]stream.Packet, 100)
	for err == nil {
		var n int
		n, err = m.Read(batch)
		for _, p := range batch[:n] {
			p.Data = bytes.Clone(p.Data)
			got = append(got, p)
		}
		if open := pool.Descriptors(); open > 3 {
			t.Fatalf("%d files open", open)
		}
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	wantOrder(t, got, inputs)
}

func TestReplacedFileIsFound(t *testing.T) {
	folder := t.TempDir()
	a, b := filepath.Join(folder, "a"), filepath.Join(folder, "b")
	for _, path := range []string{a, b} {
		if err := os.WriteFile(path, []byte(path), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	pool := files.NewPool(1, nil)
	fileA, err := pool.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	fileB, err := pool.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b, a); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	if _, err := fileA.Read(buffer); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("got %v, wanted to hear that the file has been replaced", err)
	}
	if n, err := fileB.Read(buffer); n == 0 { // its descriptor had to go, its name has
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	}
}

func TestSpillLeavesNothingBehind(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	folder, source := t.TempDir(), t.TempDir()
	var inputs [][]stream.Packet
	var paths []string
	for i := range 5 {
		inputs = append(inputs, capture(random, i, 20000, lab.Start, 1e6, 0))
		paths = append(paths, filepath.Join(source, fmt.Sprint(i)))
		writeCapture(t, paths[i], inputs[i], stream.Uncompressed)
	}
	runs := NewRuns(3<<20, folder, 1e9, true)
	list := addSections(t, runs, paths)
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("%d files in the folder, error %v", len(entries), err)
	}
	if runs.Spilled() == 0 {
		t.Error("nothing spilled")
	}
	for range 3 {
		got, _ := mergeAll(t, list)
		wantOrder(t, got, inputs)
	}
	if err := runs.Close(); err != nil {
		t.Error(err)
	}
	_, err := NewRuns(0, filepath.Join(folder, "missing"), 0, false).Add(io.NopCloser(bytes.NewReader(lab.Pcap(at(1), binary.LittleEndian, true))), "-", "", nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder to spill to: got %v", err)
	}
}

// TestNoAllocationPerPacket counts the allocations of a merge of files and of runs after its
// beginning.
func TestNoAllocationPerPacket(t *testing.T) {
	folder := t.TempDir()
	captures := NewCaptures(files.NewPool(16, nil), 1e9, 1<<20)
	runs := NewRuns(1<<30, folder, 1e9, true)
	var files, disordered []*Input
	var paths []string
	for i := range 4 {
		path := filepath.Join(folder, fmt.Sprint(i))
		writeCapture(t, path, capture(rand.New(rand.NewPCG(9, 9)), i, 50000, lab.Start, 1000, 0), stream.Uncompressed)
		files = append(files, captures.File(path, Contents{First: lab.Start, Earliest: lab.Start, Disorder: UnknownDisorder}))
		paths = append(paths, path)

		path = filepath.Join(folder, fmt.Sprint("disordered ", i))
		packets := capture(rand.New(rand.NewPCG(9, 9)), i, 50000, lab.Start, 1000, 1e6)
		for n := range packets {
			packets[n].Time -= int64(n/1000) * 2e9 // the clock steps back
		}
		writeCapture(t, path, packets, stream.Uncompressed)
		disordered = append(disordered, captures.File(path, Contents{First: lab.Start, Earliest: 0, Disorder: UnknownDisorder}))
	}
	for name, inputs := range map[string][]*Input{"files": files, "disordered": disordered, "runs": addSections(t, runs, paths)} {
		m, err := New(inputs, Options{Trouble: strict})
		if err != nil {
			t.Fatal(err)
		}
		batch := make([]stream.Packet, 512)
		packets := 0
		step := func() {
			n, err := m.Read(batch)
			if err != nil {
				t.Fatal(err)
			}
			packets += n
		}
		for packets < 20000 {
			step()
		}
		packets = 0
		const reads = 400
		allocations := testing.AllocsPerRun(reads, step) * (reads + 1)
		if perPacket := allocations / float64(packets); packets < 10000 || perPacket > 0.001 {
			t.Errorf("%s: %v allocations in %d packets", name, allocations, packets)
		}
		m.Close()
	}
}

func TestGoroutinesEnd(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	writeCapture(t, path, capture(rand.New(rand.NewPCG(9, 9)), 0, 50000, lab.Start, 1000, 0), stream.Gzip)
	plain := filepath.Join(folder, "b")
	writeCapture(t, plain, capture(rand.New(rand.NewPCG(9, 9)), 0, 50000, lab.Start, 1000, 0), stream.Uncompressed)
	synctest.Test(t, func(t *testing.T) { // which ends once all its goroutines have
		captures := NewCaptures(files.NewPool(16, nil), 1e5, 1<<30)
		contents := Contents{First: lab.Start, Earliest: lab.Start, Disorder: UnknownDisorder}
		m, err := New([]*Input{captures.File(path, contents), captures.File(plain, contents)}, Options{Trouble: strict})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Read(make([]stream.Packet, 10)); err != nil {
			t.Fatal(err)
		}
		m.Close()
		synctest.Wait()
		if open := captures.blocks.open.Load(); open != 0 {
			t.Errorf("%d files read ahead", open)
		}
	})
}

// TestEndsOfTime merges packets with times of a broken clock.
func TestEndsOfTime(t *testing.T) {
	first, last := int64(math.MinInt64), int64(math.MaxInt64)
	packet := numbered(0, 0, 0)
	times := func(times ...int64) (packets []stream.Packet) {
		for _, time := range times {
			packet.Time = time
			packets = append(packets, packet)
		}
		return packets
	}
	got, _ := mergeAll(t, []*Input{
		fakeInput("a", first, new(int), fakeStep{times(first, 5, last), nil}, fakeStep{times(last), nil}),
		fakeInput("b", last, new(int), fakeStep{times(last, last), nil}),
		fakeInput("c", first, new(int), fakeStep{times(first, first), nil}),
	})
	if len(got) != 8 || !slices.IsSortedFunc(got, byTime) {
		t.Errorf("%d packets", len(got))
	}
}

// TestFileThatShrinksWhileItIsRead truncates a file. The other files are read to their end.
func TestFileThatShrinksWhileItIsRead(t *testing.T) {
	folder := t.TempDir()
	captures := NewCaptures(files.NewPool(8, nil), 1e6, 256<<10)
	var list []*Input
	var inputs [][]stream.Packet
	for i := range 3 {
		packets := capture(rand.New(rand.NewPCG(7, 7)), i, 40000, lab.Start, 1e6, 0)
		path := filepath.Join(folder, fmt.Sprint(i))
		writeCapture(t, path, packets, stream.Uncompressed)
		list = append(list, captures.File(path, Contents{First: packets[0].Time, Earliest: packets[0].Time, Disorder: UnknownDisorder}))
		inputs = append(inputs, packets)
	}
	var said []string
	m, err := New(list, Options{Trouble: func(input *Input, err error) error {
		said = append(said, fmt.Sprintf("%s: %v", filepath.Base(input.Path()), err))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Read(make([]stream.Packet, 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(folder, "1"), 1<<20+11); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "2")); err != nil { // its descriptor lives on
		t.Fatal(err)
	}
	counts := [3]int{1, 0, 0}
	got := read(t, m, 64)
	for i := range got {
		counts[identify(&got[i]).input]++
	}
	if counts[0] != len(inputs[0]) || counts[2] != len(inputs[2]) || counts[1] < 10000 || counts[1] >= len(inputs[1]) {
		t.Errorf("%v packets", counts)
	}
	if len(said) != 2 || !strings.HasPrefix(said[0], "1: offset 1048") || !strings.HasPrefix(said[1], "1: was truncated while it was read: wanted ") {
		t.Errorf("said %q", said)
	}
}

// TestManySmallStreams checks that a stream with few packets does not keep a whole block in
// memory.
func TestManySmallStreams(t *testing.T) {
	runs := NewRuns(1<<30, t.TempDir(), 1e9, true)
	defer runs.Close()
	small := lab.Pcap(lab.Packets(3, lab.Start, 1e6, 60), binary.LittleEndian, true)
	memory := func() int64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := memory()
	var inputs []*Input
	for range 1000 {
		added, err := runs.Add(io.NopCloser(bytes.NewReader(small)), "-", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, added.Inputs...)
	}
	if used := memory() - before; used > 10<<20 {
		t.Errorf("%d bytes for 3000 packets", used)
	}
	if got, _ := mergeAll(t, inputs); len(got) != 3000 {
		t.Errorf("%d packets", len(got))
	}
}
