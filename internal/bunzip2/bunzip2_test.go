package bunzip2

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"pcap-replay/internal/lab/samples"
)

// inputs are of all kinds, and some that bzip2 treats in its own way.
func inputs() map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	all := samples.All(500_000)
	all["noise"] = all["noise"][:250_000] // of three blocks of 100 kB
	maps.Copy(all, map[string][]byte{
		"run":             make([]byte, 3_000_000), // of more than one block
		"runs of four":    bytes.Repeat([]byte("aaaabbbbcccc"), 20_000),
		"every run":       everyRun(),
		"block magic":     spelling(random, 150_000, blockMagic),
		"end magic":       spelling(random, 150_000, endMagic),
		"many magics":     spelling(random, 350_000, blockMagic, endMagic, blockMagic, endMagic, endMagic),
		"magics and text": append([]byte(strings.Repeat("text ", 30_000)), spelling(random, 400_000, endMagic, blockMagic)...),
	})
	return all
}

func everyRun() (data []byte) {
	for length := range 300 {
		data = append(data, bytes.Repeat([]byte{byte(length)}, length)...)
	}
	return data
}

// spelling is noise of just those bytes whose bitmap in the head of a block spells numbers
// of 48 bits: three ranges of 16 bytes for each.
func spelling(random *rand.Rand, size int, numbers ...uint64) []byte {
	var alphabet []byte
	for i, number := range numbers {
		for bit := range magicBits {
			if number>>(magicBits-1-bit)&1 == 1 {
				alphabet = append(alphabet, byte(16+i*magicBits+bit))
			}
		}
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = alphabet[random.IntN(len(alphabet))]
	}
	return append(data, alphabet...)
}

// bzip2Program runs the program bzip2 over data.
func bzip2Program(t testing.TB, data []byte, flags ...string) ([]byte, error) {
	t.Helper()
	if _, err := exec.LookPath("bzip2"); err != nil {
		t.Skip("no bzip2 here")
	}
	run := exec.Command("bzip2", flags...)
	run.Stdin = bytes.NewReader(data)
	return run.Output()
}

func compress(t testing.TB, data []byte, flags ...string) []byte {
	t.Helper()
	compressed, err := bzip2Program(t, data, append(flags, "-c")...)
	if err != nil {
		t.Fatal(err)
	}
	return compressed
}

// newReaders are the ways to read all files of a source.
var newReaders = map[string]func(src io.Reader) *Reader{
	"one by one": func(src io.Reader) *Reader {
		r := new(Reader)
		r.reset(bufio.NewReader(src))
		return r
	},
	"parallel": func(src io.Reader) *Reader { return NewParallelReader(src, 3) },
}

func TestReadsWhatBzip2Writes(t *testing.T) {
	for name, data := range inputs() {
		for _, level := range []string{"-1", "-2", "-9"} {
			compressed := compress(t, data, level)
			two := append(bytes.Clone(compressed), compressed...)
			for way, newReader := range newReaders {
				r := newReader(bytes.NewReader(two))
				got, err := io.ReadAll(r)
				if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, slices.Concat(data, data)) {
					t.Errorf("%s, %s, %s: %d bytes of 2 * %d, error %v", name, level, way, len(got), len(data), err)
				}
			}
		}
	}
}

// Each magic that the samples are to spell is in the compressed data.
func TestSamplesSpellMagics(t *testing.T) {
	for name, wanted := range map[string][2]int{"block magic": {4, 1}, "end magic": {2, 3}} {
		found := map[uint64]int{}
		latest := uint64(0)
		for _, b := range compress(t, inputs()[name], "-1") {
			latest = latest<<8 | uint64(b)
			magic, _ := findMagic(latest)
			found[magic]++
		}
		if found[blockMagic] != wanted[0] || found[endMagic] != wanted[1] {
			t.Errorf("%s: %d of a block, %d of the end, wanted %d", name, found[blockMagic], found[endMagic], wanted)
		}
	}
}

func TestReadsInSmallPieces(t *testing.T) {
	data := inputs()["mixed"][:150_000]
	compressed := compress(t, data, "-1")
	for way, newReader := range newReaders {
		for name, src := range map[string]io.Reader{
			"byte by byte": iotest.OneByteReader(bytes.NewReader(compressed)),
			"data and EOF": iotest.DataErrReader(bytes.NewReader(compressed)),
		} {
			r := newReader(src)
			got, err := io.ReadAll(iotest.OneByteReader(r))
			if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, %s: %d bytes of %d, error %v", way, name, len(got), len(data), err)
			}
		}
	}
}

// place is where a block begins.
type place struct{ offset, bit int64 }

// findBlocks says where the blocks of a file begin, and where their data does.
func findBlocks(t *testing.T, newReader func(io.Reader) *Reader, compressed []byte) (places []place) {
	t.Helper()
	r := newReader(bytes.NewReader(compressed))
	r.OnBlock = func(offset, bit int64) { places = append(places, place{offset, bit}) }
	_, err := io.Copy(io.Discard, r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return places
}

func TestResumesAtEveryBlock(t *testing.T) {
	all := inputs()
	data := slices.Concat(all["mixed"], all["many magics"], all["noise"])
	compressed := slices.Concat(compress(t, data[:500_000], "-1"), compress(t, data[500_000:], "-3"), compress(t, nil))
	places := findBlocks(t, newReaders["parallel"], compressed)
	if !slices.Equal(places, findBlocks(t, newReaders["one by one"], compressed)) || len(places) < 7 {
		t.Fatalf("blocks are at %v", places)
	}
	for _, p := range places {
		r := new(Reader)
		r.Resume(bufio.NewReader(bytes.NewReader(compressed[p.bit/8:])), p.bit)
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data[p.offset:]) {
			t.Errorf("from %d on: %d bytes, error %v", p.offset, len(got), err)
		}
	}
}

// ResetSingle has Read end after a file, wherever that is in a byte.
func TestLeavesWhatFollows(t *testing.T) {
	r := new(Reader)
	for length := range 20 {
		data := []byte("hello, hello, hello!")[:length]
		src := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(compress(t, data)), strings.NewReader("BZh9 and more")), 16)
		r.ResetSingle(src)
		got, err := io.ReadAll(r)
		rest, _ := io.ReadAll(src)
		if !bytes.Equal(got, data) || err != nil || string(rest) != "BZh9 and more" {
			t.Errorf("%q, error %v, then %q", got, err, rest)
		}
	}
}

// small is what bzip2 makes of "hello, hello": a header of 4 bytes, a block of 30, and the
// end.
var small = []byte("BZh91AY&SY\x02\x08\xc3\xbc\x00\x00\x02\x11\x00\x40\x04\x02\x44\xa0\x00\x21\x29\xa6\x03\x00\x56\x09\xc2\x86" +
	"\x17\x72\x45\x38\x50\x90\x02\x08\xc3\xbc")

func TestSaysWhatIsBroken(t *testing.T) {
	cause := errors.New("cause")
	data := inputs()["noise"]
	compressed := compress(t, data, "-1")
	blocks := findBlocks(t, newReaders["one by one"], compressed)
	flipped := func(bit int64) io.Reader {
		damaged := bytes.Clone(compressed)
		damaged[bit/8] ^= 0x80 >> (bit % 8)
		return bytes.NewReader(damaged)
	}
	end := int64(len(compressed)) * 8
	for name, c := range map[string]struct {
		src   io.Reader
		plain int64
		err   string
	}{
		"nothing":           {strings.NewReader(""), 0, "unexpected EOF"},
		"no bzip2":          {strings.NewReader("hello"), 0, `it begins with "hell"`},
		"header only":       {strings.NewReader("BZh9"), 0, "unexpected EOF"},
		"no block":          {strings.NewReader("BZh9123456"), 0, "block 1 begins with 0x313233343536, wanted 0x314159265359"},
		"magic":             {flipped(blocks[1].bit + 7), blocks[1].offset, "block 2 begins with 0x304159265359"},
		"checksum":          {flipped(blocks[1].bit + 48 + 31), blocks[1].offset, "block 2: checksum is 0x"},
		"randomized":        {flipped(blocks[1].bit + 48 + 32), blocks[1].offset, "block 2: it is randomized"},
		"first byte":        {flipped(blocks[2].bit + 48 + 33), blocks[2].offset, "block 3: its origin is beyond its end"},
		"inside":            {flipped(blocks[1].bit - 1000), blocks[0].offset, "block 1: "},
		"checksum of all":   {flipped(end - 9), 250_000, "checksum of all blocks is 0x"},
		"cut":               {bytes.NewReader(compressed[:blocks[2].bit/8+100]), blocks[2].offset, "block 3: unexpected EOF"},
		"cut at the end":    {bytes.NewReader(compressed[:end/8-1]), 250_000, "unexpected EOF"},
		"junk":              {io.MultiReader(bytes.NewReader(compressed), strings.NewReader("\x00\x00junk")), 250_000, `bzip2 data is followed by "\x00\x00ju"`},
		"another header":    {io.MultiReader(bytes.NewReader(compressed), strings.NewReader("BZh0")), 250_000, `bzip2 data is followed by "BZh0"`},
		"zeros":             {io.MultiReader(bytes.NewReader(compressed), bytes.NewReader(make([]byte, 100_000))), 250_000, ""},
		"broken source":     {io.MultiReader(bytes.NewReader(compressed[:end/8/2]), iotest.ErrReader(cause)), -1, "cause"},
		"source behind it":  {io.MultiReader(bytes.NewReader(compressed), iotest.ErrReader(cause)), 250_000, "cause"},
		"level too low":     {io.MultiReader(strings.NewReader("BZh1"), bytes.NewReader(compress(t, data)[4:])), 0, "block 1: it is longer than the file header allows"},
		"magic in the junk": {io.MultiReader(bytes.NewReader(compressed), bytes.NewReader(small[4:])), 250_000, `bzip2 data is followed by "1AY&"`},
	} {
		input, srcErr := io.ReadAll(c.src)
		for way, newReader := range newReaders {
			src := io.Reader(bytes.NewReader(input))
			if srcErr != nil {
				src = io.MultiReader(src, iotest.ErrReader(srcErr))
			}
			r := newReader(src)
			got, err := io.ReadAll(r)
			r.Close()
			if !bytes.HasPrefix(data, got) || c.plain >= 0 && int64(len(got)) != c.plain || !strings.Contains(fmt.Sprint(err), c.err) || (err == nil) != (c.err == "") {
				t.Errorf("%s, %s: %d bytes, error %v, wanted %d", name, way, len(got), err, c.plain)
			}
			if srcErr != nil && !errors.Is(err, cause) {
				t.Errorf("%s, %s: error %v does not wrap that of the source", name, way, err)
			}
		}
	}
}

// Whatever bit is wrong, wherever a file is cut: all whole blocks before that come out, and
// it is an error if it is one for bzip2.
func TestGivesAllWholeBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	all := inputs()
	data := slices.Concat(all["many magics"][:140_000], all["mixed"][:210_000], all["noise"][:30_000])
	compressed := slices.Concat(compress(t, data[:250_000], "-1"), compress(t, data[250_000:], "-9"))
	blocks := findBlocks(t, newReaders["one by one"], compressed)
	for range 60 {
		damaged := bytes.Clone(compressed)
		bit := random.Int64N(int64(len(compressed)) * 8)
		if random.IntN(4) == 0 {
			damaged = damaged[:bit/8]
		} else {
			damaged[bit/8] ^= 0x80 >> (bit % 8)
		}
		whole := int64(0)
		for _, b := range blocks {
			if b.bit <= bit {
				whole = b.offset
			}
		}
		_, wantErr := bzip2Program(t, damaged, "-t")
		for way, newReader := range newReaders {
			r := newReader(bytes.NewReader(damaged))
			got, err := io.ReadAll(r)
			r.Close()
			if !bytes.HasPrefix(data, got) || int64(len(got)) < whole || (err == nil) != (wantErr == nil) {
				t.Errorf("bit %d, %s: %d bytes of %d, error %v; bzip2: %v", bit, way, len(got), whole, err, wantErr)
			}
		}
	}
}

// What decompresses ahead ends when it is told to, and goes no further than it must.
func TestCloseEndsAll(t *testing.T) {
	compressed := compress(t, inputs()["noise"], "-1")
	// The bubble ends when all its goroutines have ended, and fails when one never does.
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			read := 0
			rest := compressed
			r := NewParallelReader(readerFunc(func(p []byte) (int, error) {
				read++
				n := copy(p, rest)
				if rest = rest[n:]; len(rest) == 0 {
					rest = compressed
				}
				return n, nil
			}), 2)
			if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
				t.Fatal(err)
			}
			r.Close()
			if read > 100 {
				t.Errorf("%d reads", read)
			}
		}
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A Reader takes no memory for a file that follows another one.
func TestUsesMemoryAgain(t *testing.T) {
	r, src := new(Reader), bufio.NewReader(nil)
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			src.Reset(bytes.NewReader(small))
			r.ResetSingle(src)
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 50_000 {
		t.Errorf("%d bytes for each file", allocated)
	}
}

// FuzzReader compares with compress/bzip2, or bzip2 where that is too lenient, both ways to read with one another, and what
// comes before an error with the whole.
func FuzzReader(f *testing.F) {
	f.Add(small)
	f.Add(append(bytes.Clone(small), small...))
	f.Add(append(bytes.Clone(small), 0, 0, 0))
	f.Add(append(bytes.Clone(small), "BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, compressed []byte) {
		want, wantErr := io.ReadAll(bzip2.NewReader(bytes.NewReader(compressed)))
		for rest := compressed; wantErr != nil && bytes.HasSuffix(rest, []byte{0}); { // which may follow a file
			rest = rest[:len(rest)-1]
			if data, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(rest))); err == nil {
				want, wantErr = data, nil
			}
		}
		first, firstErr := []byte(nil), error(nil)
		for _, way := range []string{"one by one", "parallel"} {
			r := newReaders[way](bytes.NewReader(compressed))
			got, err := io.ReadAll(r)
			r.Close()
			if way == "one by one" {
				first, firstErr = got, err
			}
			if fmt.Sprint(err) != fmt.Sprint(firstErr) || !bytes.Equal(got, first) {
				t.Fatalf("one by one: %d bytes, error %v; parallel: %d bytes, error %v", len(first), firstErr, len(got), err)
			}
			if err != nil && wantErr == nil { // it knows codes that bzip2 refuses
				want, wantErr = bzip2Program(t, compressed, "-dc")
			}
			if (err == nil) != (wantErr == nil) || !bytes.HasPrefix(want, got) || err == nil && len(got) < len(want) {
				t.Fatalf("%d bytes, error %v; compress/bzip2: %d bytes, error %v", len(got), err, len(want), wantErr)
			}
		}
	})
}

// A block of runs stands for 46 MB. Whatever the number of workers, memory does not grow
// with that.
func TestBombTakesLittleMemory(t *testing.T) {
	const (
		blocks, blockSize = 12, 45_000_000
		most              = 200 << 20
	)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // all memory counts that was ever taken
	bomb := bytes.Repeat(compress(t, make([]byte, blockSize), "-9"), blocks)
	for _, workers := range []int{2, 64} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := NewParallelReader(bytes.NewReader(bomb), workers)
		n, err := io.Copy(io.Discard, r)
		r.Close()
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; n != blocks*blockSize || err != nil || taken > most {
			t.Errorf("%d workers: %d bytes, error %v, took %d bytes of memory, wanted up to %d", workers, n, err, taken, most)
		}
	}
}
