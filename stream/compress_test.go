package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// compress runs a program over data, or skips where it is missing.
func compress(t *testing.T, data []byte, program string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("no " + program)
	}
	command := exec.Command(program, args...)
	command.Stdin = bytes.NewReader(data)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return out
}

// compressions are the programs whose output is read.
var compressions = []struct {
	name string
	want stream.Compression
	args []string
}{
	{"gzip", stream.Gzip, []string{"gzip", "-c"}},
	{"pigz", stream.Gzip, []string{"pigz", "-c"}},
	{"igzip", stream.Gzip, []string{"igzip", "-c"}},
	{"bgzip", stream.Gzip, []string{"bgzip", "-c"}},
	{"lz4", stream.LZ4, []string{"lz4", "-c"}},
	{"lz4 small linked blocks", stream.LZ4, []string{"lz4", "-c", "-B4", "-BD", "-BX"}},
	{"lz4 legacy", stream.LZ4, []string{"lz4", "-c", "-l"}},
	{"zstd", stream.Zstd, []string{"zstd", "-c"}},
	{"zstd long", stream.Zstd, []string{"zstd", "-c", "-9", "--long=27"}},
	{"xz", stream.XZ, []string{"xz", "-c"}},
	{"xz small blocks", stream.XZ, []string{"xz", "-c", "--check=sha256", "--block-size=30000"}},
	{"bzip2", stream.Bzip2, []string{"bzip2", "-c"}},
	{"bzip2 small blocks", stream.Bzip2, []string{"bzip2", "-1c"}},
}

func TestReadsWhatProgramsCompress(t *testing.T) {
	packets := lab.Packets(5000, lab.Start, time.Millisecond, 500)
	plain := lab.Pcap(packets, binary.LittleEndian, true)
	for _, c := range compressions {
		t.Run(c.name, func(t *testing.T) {
			packed := compress(t, plain, c.args[0], c.args[1:]...)
			for name, wrap := range map[string]func(io.Reader) io.Reader{"at once": whole, "byte by byte": iotest.OneByteReader} {
				r := stream.NewReader(wrap(bytes.NewReader(packed)))
				got := readAll(r, 256)
				if got.packets != len(packets) || len(got.damage) > 0 || got.err != nil {
					t.Errorf("%s: %d packets, damage %q, error %v; wanted %d", name, got.packets, got.damage, got.err, len(packets))
				}
				if r.Section().Compression != c.want {
					t.Errorf("%s: compression %s, wanted %s", name, r.Section().Compression, c.want)
				}
				r.Close()
			}
		})
	}
}

// Two compressed captures one after the other are two sections.
func TestReadsConcatenatedCompression(t *testing.T) {
	plain := lab.Pcap(lab.Packets(100, lab.Start, time.Millisecond, 100), binary.LittleEndian, true)
	for _, c := range compressions {
		t.Run(c.name, func(t *testing.T) {
			packed := compress(t, plain, c.args[0], c.args[1:]...)
			r := stream.NewReader(bytes.NewReader(append(bytes.Clone(packed), packed...)))
			defer r.Close()
			got := readAll(r, 256)
			if got.packets != 200 || len(got.damage) > 0 || got.err != nil || r.Sections() != 2 {
				t.Errorf("%d packets in %d sections, damage %q, error %v", got.packets, r.Sections(), got.damage, got.err)
			}
		})
	}
}

// Every packet in front of the cut comes out, and the cut is told.
func TestReadsTruncatedCompression(t *testing.T) {
	plain := lab.Pcap(lab.Packets(16000, lab.Start, time.Millisecond, 500), binary.LittleEndian, true)
	for _, c := range compressions {
		t.Run(c.name, func(t *testing.T) {
			packed := compress(t, plain, c.args[0], c.args[1:]...)
			cuts := []int{len(packed) - 1, len(packed) * 2 / 3, len(packed) / 10}
			for keep := 1; keep < 64; keep++ {
				cuts = append(cuts, keep)
			}
			for _, keep := range cuts {
				r := stream.NewReader(bytes.NewReader(packed[:keep]))
				got := readAll(r, 256)
				r.Close()
				isWhole := c.name == "lz4 legacy" && keep == 4 // the magic alone is a frame without blocks
				if len(got.damage) == 0 && got.err == nil && !isWhole {
					t.Errorf("cut at %d of %d: %d packets and no word of it", keep, len(packed), got.packets)
				}
				if got.err != nil && !errors.Is(got.err, stream.ErrNotCapture) {
					t.Errorf("cut at %d of %d: %v", keep, len(packed), got.err)
				}
				if keep == len(packed)*2/3 && got.packets == 0 && c.name != "lz4 legacy" { // whose blocks are 8 MiB
					t.Errorf("cut at %d of %d: nothing of what is before the cut; %q %v", keep, len(packed), got.damage, got.err)
				}
			}
		})
	}
}

// What the program gives of damaged data in front of the damage comes out, and the error
// says what compression is broken. Zstd and bzip2 give whole blocks only: the one that is
// broken is lost, of which their programs give something.
func TestGivesWhatIsInFrontOfDamage(t *testing.T) {
	blockSizes := map[stream.Compression]int{stream.Zstd: 128 << 10, stream.Bzip2: 900_000}
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range compressions {
		if slices.Contains([]string{"pigz", "igzip", "bgzip"}, c.args[0]) {
			continue // gzip stands for them
		}
		t.Run(c.name, func(t *testing.T) {
			for _, count := range []int{3, 50, 4000} {
				plain := lab.Pcap(lab.Packets(count, lab.Start, time.Millisecond, 300), binary.LittleEndian, true)
				packed := compress(t, plain, c.args[0], c.args[1:]...)
				for range 12 {
					damaged := bytes.Clone(packed)
					const magic = 10 // bytes, which tell that it is compressed
					place := magic + random.IntN(len(packed)-magic)
					damaged[place] ^= 1 << random.IntN(8)

					program := exec.Command(c.args[0], "-dc")
					program.Stdin = bytes.NewReader(damaged)
					given, programErr := program.Output()
					wanted := commonPrefix(plain, given) - blockSizes[c.want]
					got, err := decompress(damaged)
					if right := commonPrefix(plain, got); right < wanted {
						t.Errorf("%d packets, byte %d of %d: %d bytes, wanted %d, error %v", count, place, len(packed), right, wanted, err)
					}
					if (err == nil) != (programErr == nil) {
						t.Errorf("%d packets, byte %d of %d: error %v, %s: %v", count, place, len(packed), err, c.name, programErr)
					}
					told := readAll(stream.NewReader(bytes.NewReader(damaged)), 256)
					if said := strings.Join(append(told.damage, fmt.Sprint(told.err)), " "); err != nil && !strings.Contains(said, c.want.String()+" data") {
						t.Errorf("%d packets, byte %d of %d: no word of %s in %q", count, place, len(packed), c.want, said)
					}
				}
			}
		})
	}
}

func decompress(data []byte) ([]byte, error) {
	r, _, err := stream.Decompress(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func commonPrefix(a, b []byte) (length int) {
	for length < min(len(a), len(b)) && a[length] == b[length] {
		length++
	}
	return length
}

// The checksum of a gzip file stands at its end: all packets are out before it is wrong.
func TestReadsInFrontOfBadChecksum(t *testing.T) {
	packets := lab.Packets(20000, lab.Start, time.Millisecond, 500)
	packed := compress(t, lab.Pcap(packets, binary.LittleEndian, true), "gzip", "-c")
	packed[len(packed)-6] ^= 1
	got := readAll(stream.NewReader(bytes.NewReader(packed)), 256)
	if got.packets != len(packets) || len(got.damage) != 1 || got.err != nil {
		t.Errorf("%d packets, damage %q, error %v", got.packets, got.damage, got.err)
	}
}

// Where a wrong bit makes no capture of it, the checksum that stands after says why.
func TestSaysWhyItIsNoCapture(t *testing.T) {
	plain := lab.Pcap(nil, binary.LittleEndian, true)
	for random := rand.New(rand.NewPCG(1, 2)); len(plain) < 3000; { // so that it is stored as it is
		plain = append(plain, byte(random.Uint32()))
	}
	for _, args := range [][]string{{"gzip", "-nc"}, {"xz", "-c"}, {"zstd", "-c"}, {"lz4", "-c"}} {
		t.Run(args[0], func(t *testing.T) {
			packed := compress(t, plain, args[0], args[1:]...)
			found := 0
			for place := 8; place < 100; place++ { // after the magic
				damaged := bytes.Clone(packed)
				damaged[place] ^= 1
				got, _ := decompress(damaged)
				if len(got) < len(plain) || got[0] == plain[0] {
					continue
				}
				found++
				err := readAll(stream.NewReader(bytes.NewReader(damaged)), 1).err
				if !errors.Is(err, stream.ErrNotCapture) || !strings.Contains(err.Error(), args[0]+" data is damaged") {
					t.Errorf("byte %d: %v", place, err)
				}
			}
			if found == 0 {
				t.Error("no bit changes the first byte alone")
			}
			notes := compress(t, []byte("no capture"), args[0], args[1:]...)
			err := readAll(stream.NewReader(bytes.NewReader(notes)), 1).err
			if !errors.Is(err, stream.ErrNotCapture) || strings.Contains(err.Error(), "damaged") {
				t.Errorf("no capture: %v", err)
			}
		})
	}
}

// A bzip2 file may contain the magics of a block and of the end within a block.
func TestReadsMagicsOfBzip2(t *testing.T) {
	packets := lab.Packets(4, lab.Start, time.Millisecond, 60)
	for i := range packets {
		packets[i].Data = lab.Bzip2Magics(250_000)
		packets[i].WireLength = 250_000
	}
	plain := lab.Pcap(packets, binary.LittleEndian, true)
	packed := compress(t, plain, "bzip2", "-1c")
	got := readAll(stream.NewReader(bytes.NewReader(slices.Concat(packed, packed, plain))), 256)
	if got.packets != 3*len(packets) || len(got.damage) > 0 || got.err != nil {
		t.Errorf("%d packets, damage %q, error %v", got.packets, got.damage, got.err)
	}
}

func TestTellsTrailingJunk(t *testing.T) {
	plain := lab.Pcap(lab.Packets(100, lab.Start, time.Millisecond, 100), binary.LittleEndian, true)
	packed := compress(t, plain, "gzip", "-c")
	got := readAll(stream.NewReader(bytes.NewReader(append(bytes.Clone(packed), "junk behind it"...))), 256)
	if got.packets != 100 || len(got.damage) != 1 || got.err != nil {
		t.Errorf("junk: %d packets, damage %q, error %v", got.packets, got.damage, got.err)
	}
	got = readAll(stream.NewReader(bytes.NewReader(append(bytes.Clone(packed), make([]byte, 300000)...))), 256)
	if got.packets != 100 || len(got.damage) != 0 || got.err != nil {
		t.Errorf("padded with zeros: %d packets, damage %q, error %v", got.packets, got.damage, got.err)
	}
}

// Plain and compressed captures may follow one another.
func TestReadsMixedCompression(t *testing.T) {
	plain := lab.Pcap(lab.Packets(10, lab.Start, time.Millisecond, 100), binary.LittleEndian, true)
	var mixed []byte
	for _, args := range [][]string{{"cat"}, {"gzip", "-nc"}, {"gzip", "-c"}, {"cat"}, {"lz4", "-c"}, {"lz4", "-c"}, {"cat"}, {"gzip", "-c"}, {"zstd", "-c"}} {
		mixed = append(mixed, compress(t, plain, args[0], args[1:]...)...)
	}
	r := stream.NewReader(bytes.NewReader(mixed))
	defer r.Close()
	got := readAll(r, 256)
	if got.packets != 90 || len(got.damage) > 0 || got.err != nil || r.Sections() != 9 {
		t.Errorf("%d packets in %d sections, damage %q, error %v", got.packets, r.Sections(), got.damage, got.err)
	}
}

// A capture of any compression may follow one of any other.
func TestReadsEveryPairOfCompressions(t *testing.T) {
	plain := lab.Pcap(lab.Packets(300, lab.Start, time.Millisecond, 100), binary.LittleEndian, true)
	programs := [][]string{{"cat"}, {"xz", "-c", "--check=sha256", "--block-size=3000"}, {"xz", "-c", "--check=none"}, {"xz", "-0c", "--delta=dist=4", "--lzma2"}}
	for _, c := range compressions {
		programs = append(programs, c.args)
	}
	packed := map[string][]byte{}
	pack := func(t *testing.T, args []string) []byte {
		name := strings.Join(args, " ")
		if packed[name] == nil {
			packed[name] = compress(t, plain, args[0], args[1:]...)
		}
		return packed[name]
	}
	for _, first := range programs {
		for _, second := range programs {
			t.Run(strings.Join(first, " ")+" "+strings.Join(second, " "), func(t *testing.T) {
				head, tail := pack(t, first), pack(t, second)
				for name, wrap := range map[string]func(io.Reader) io.Reader{"at once": whole, "byte by byte": iotest.OneByteReader} {
					r := stream.NewReader(wrap(bytes.NewReader(slices.Concat(head, tail))))
					got := readAll(r, 256)
					if got.packets != 600 || len(got.damage) > 0 || got.err != nil || r.Sections() != 2 {
						t.Errorf("%s: %d packets in %d sections, damage %q, error %v", name, got.packets, r.Sections(), got.damage, got.err)
					}
					r.Close()
				}
			})
		}
	}
}

// The end magic of a bzip2 file and the padding of an xz block stand at any place.
func TestFindsEveryEnd(t *testing.T) {
	for _, args := range [][]string{{"bzip2", "-c"}, {"xz", "-c"}} {
		t.Run(args[0], func(t *testing.T) {
			for length := range 16 {
				plain := lab.Pcap(lab.Packets(3, lab.Start, time.Millisecond, 60+length), binary.LittleEndian, true)
				got := readAll(stream.NewReader(bytes.NewReader(append(compress(t, plain, args[0], args[1:]...), plain...))), 256)
				if got.packets != 6 || len(got.damage) > 0 || got.err != nil {
					t.Errorf("length %d: %d packets, damage %q, error %v", length, got.packets, got.damage, got.err)
				}
			}
		})
	}
}

// What follows the end of compressed data that is not a capture is told, unless it is
// zeros.
func TestTellsWhatFollowsTheEnd(t *testing.T) {
	plain := lab.Pcap(lab.Packets(100, lab.Start, time.Millisecond, 100), binary.LittleEndian, true)
	for _, args := range [][]string{{"gzip", "-c"}, {"bzip2", "-c"}, {"xz", "-c"}} {
		t.Run(args[0], func(t *testing.T) {
			packed := compress(t, plain, args[0], args[1:]...)
			empty := compress(t, nil, args[0], args[1:]...)
			zeros := make([]byte, 300000)
			for name, c := range map[string]struct {
				tail            []byte
				packets, damage int
			}{
				"junk":              {[]byte("junk behind it"), 100, 1},
				"one byte":          {[]byte("x"), 100, 1},
				"zeros":             {zeros, 100, 0},
				"zeros and junk":    {append(bytes.Clone(zeros), "junk"...), 100, 1},
				"empty and capture": {slices.Concat(empty, plain), 200, 0},
			} {
				r := stream.NewReader(bytes.NewReader(slices.Concat(packed, c.tail)))
				got := readAll(r, 256)
				if got.packets != c.packets || len(got.damage) != c.damage || got.err != nil {
					t.Errorf("%s: %d packets, damage %q, error %v", name, got.packets, got.damage, got.err)
				}
				r.Close()
			}
		})
	}
}

// Zeros in steps of four bytes may stand between the streams of an xz file.
func TestReadsPaddingOfXZ(t *testing.T) {
	plain := lab.Pcap(lab.Packets(100, lab.Start, time.Millisecond, 100), binary.LittleEndian, true)
	packed := compress(t, plain, "xz", "-c")
	got := readAll(stream.NewReader(bytes.NewReader(slices.Concat(packed, make([]byte, 8), packed, make([]byte, 4), plain))), 256)
	if got.packets != 300 || len(got.damage) > 0 || got.err != nil {
		t.Errorf("%d packets, damage %q, error %v", got.packets, got.damage, got.err)
	}
}
