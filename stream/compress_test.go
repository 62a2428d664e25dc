package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
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
	{"bzip2", stream.Bzip2, []string{"bzip2", "-c"}},
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

// Two compressed captures one behind the other are two sections.
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

// A flipped bit is found by the checksum, and what could be read comes out.
func TestReadsDamagedCompression(t *testing.T) {
	packets := lab.Packets(20000, lab.Start, time.Millisecond, 500)
	plain := lab.Pcap(packets, binary.LittleEndian, true)
	packed := compress(t, plain, "gzip", "-c")
	packed[len(packed)-6] ^= 1 // in the CRC
	got := readAll(stream.NewReader(bytes.NewReader(packed)), 256)
	if got.packets != len(packets) || len(got.damage) != 1 || got.err != nil {
		t.Errorf("bad CRC: %d packets, damage %q, error %v", got.packets, got.damage, got.err)
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
