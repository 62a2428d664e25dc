package unxz

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pcap-replay/internal/lab/samples"
)

const maxDictionary = 64 << 20

// inputs are of all kinds.
func inputs() map[string][]byte {
	all := samples.All(400_000)
	all["code"] = code(rand.New(rand.NewPCG(1, 2)), 100_000)
	return all
}

// code is full of what the filters for programs change.
func code(random *rand.Rand, size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(random.Uint32())
		if random.IntN(2) == 0 {
			data[i] = []byte{0xe8, 0xe9, 0, 0xff, 0xeb, 0x48, 0x01, 0xf0, 0xf8, 0x94, 0x90, 0x40, 0x7f, 0x10, 0x16}[random.IntN(15)]
		}
	}
	for i := 0; i+16 <= size; i += 16 * (1 + random.IntN(4)) { // an IA-64 branch in the last slot
		data[i] = 0x10
		data[i+15] = 0x50 | data[i+15]&0x0f
		data[i+12] &= 0x0f
	}
	return data
}

// xz runs the program xz over data.
func xz(t testing.TB, data []byte, args ...string) ([]byte, error) {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz here")
	}
	run := exec.Command("xz", args...)
	run.Stdin = bytes.NewReader(data)
	return run.Output()
}

func compress(t testing.TB, data []byte, args ...string) []byte {
	t.Helper()
	compressed, err := xz(t, data, append([]string{"-c"}, args...)...)
	if err != nil {
		t.Fatal(args, err)
	}
	return compressed
}

// readAll reads stream after stream, as xz does.
func readAll(src io.Reader) ([]byte, error) {
	source := bufio.NewReader(src)
	var all []byte
	r := NewReader(maxDictionary)
	for {
		r.Reset(source)
		data, err := io.ReadAll(r)
		all = append(all, data...)
		if err != nil {
			return all, err
		}
		if _, err := source.Peek(1); err == io.EOF {
			return all, nil
		}
	}
}

// programs are ways to compress. Small blocks and dictionaries show more than large ones.
var programs = []string{
	"-0", "-6", "-9e", "--check=none", "--check=crc32", "--check=sha256",
	"--block-size=5000", "--block-size=60000 --check=sha256 -T2", "--block-list=1,20000,3,4,0 --check=crc32",
	"--lzma2=dict=4KiB", "--lzma2=dict=6KiB,lc=0,lp=4,pb=4", "--lzma2=dict=1MiB,lc=4,lp=0,pb=0,mode=fast",
	"--lzma2=lc=1,lp=3,nice=273", "--lzma2=dict=64KiB,lc=2,lp=2,pb=1",
	"--delta --lzma2", "--delta=dist=256 --lzma2=dict=4KiB", "--delta=dist=3 --x86 --delta=dist=2 --lzma2",
	"--x86 --lzma2", "--x86=start=4096 --lzma2", "--powerpc --lzma2", "--ia64 --lzma2", "--arm --lzma2",
	"--armthumb=start=2 --lzma2", "--sparc --lzma2", "--arm64 --lzma2 --block-size=30001",
}

func TestReadsWhatXZWrites(t *testing.T) {
	for name, data := range inputs() {
		for _, args := range programs {
			compressed := compress(t, data, strings.Fields(args)...)
			two := append(append(bytes.Clone(compressed), make([]byte, 8)...), compressed...)
			got, err := readAll(bytes.NewReader(two))
			if err != nil || !bytes.Equal(got, append(bytes.Clone(data), data...)) {
				t.Errorf("%s, xz %s: %d bytes of 2 * %d, error %v", name, args, len(got), len(data), err)
			}
		}
	}
}

func TestReadsInSmallPieces(t *testing.T) {
	data := inputs()["mixed"][:100_000]
	compressed := compress(t, data, "--block-size=7777", "--delta", "--x86", "--lzma2")
	for name, src := range map[string]io.Reader{
		"byte by byte": iotest.OneByteReader(bytes.NewReader(compressed)),
		"data and EOF": iotest.DataErrReader(bytes.NewReader(compressed)),
	} {
		r := NewReader(maxDictionary)
		r.Reset(bufio.NewReaderSize(src, 16))
		got, err := io.ReadAll(iotest.OneByteReader(r))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d, error %v", name, len(got), len(data), err)
		}
	}
}

// Read ends after the stream and its padding.
func TestLeavesWhatFollows(t *testing.T) {
	compressed := compress(t, []byte("hello, hello"))
	for _, c := range []struct{ tail, want string }{
		{"", ""}, {"x", "x"}, {"\x00\x00\x00\x00abc", "abc"}, {"\x00\x00\x00\x00\x00", "\x00"}, {"abcdefgh", "abcdefgh"},
	} {
		src := bufio.NewReader(io.MultiReader(bytes.NewReader(compressed), strings.NewReader(c.tail)))
		r := NewReader(maxDictionary)
		r.Reset(src)
		data, err := io.ReadAll(r)
		rest, _ := io.ReadAll(src)
		if string(data) != "hello, hello" || err != nil || string(rest) != c.want {
			t.Errorf("%q behind it: %q, error %v, then %q", c.tail, data, err, rest)
		}
	}
}

// Whatever is done to a file, all that xz gives of it comes out, and it is an error if it
// is one for xz. (Of the last bytes of a damaged block xz does not turn back what a filter
// for programs did: then only their number counts.)
func TestGivesAllThatXZGives(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	data := inputs()
	names := slices.Sorted(maps.Keys(data))
	equal, more := 0, 0
	for range 150 {
		name, program := names[random.IntN(len(names))], programs[random.IntN(len(programs))]
		plain := data[name][:random.IntN(min(len(data[name]), 100_000)+1)]
		compressed := compress(t, plain, strings.Fields(program)...)
		if random.IntN(3) == 0 {
			compressed = slices.Concat(compressed, make([]byte, 4*random.IntN(3)), compressed)
		}
		for range 6 {
			damaged := bytes.Clone(compressed)
			place := random.IntN(len(damaged))
			if random.IntN(4) == 0 {
				damaged = damaged[:place]
			} else {
				damaged[place] ^= 1 << random.IntN(8)
			}
			want, wantErr := xz(t, damaged, "-dc")
			got, err := readAll(bytes.NewReader(damaged))
			isFiltered := slices.Contains(strings.Fields(program), "--lzma2")
			if len(got) < len(want) || !isFiltered && !bytes.HasPrefix(got, want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%d bytes of %s, xz %s, damage at %d of %d: %d bytes, error %v; xz: %d bytes, error %v",
					len(plain), name, program, place, len(compressed), len(got), err, len(want), wantErr)
			}
			if equal++; len(got) > len(want) {
				equal, more = equal-1, more+1
			}
		}
	}
	t.Logf("as much as xz gives: %d, more: %d", equal, more)
}
