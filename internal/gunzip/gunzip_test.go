package gunzip

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	"pcap-replay/internal/lab/samples"
)

// mixedSize is over a few blocks of deflate.
const mixedSize = 1_500_000

func compress(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadsWhatIsCompressed(t *testing.T) {
	for name, data := range samples.All(mixedSize) {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 6, 9} {
			got, err := io.ReadAll(NewReader(bytes.NewReader(compress(t, data, level))))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, level %d: %d bytes of %d, error %v", name, level, len(got), len(data), err)
			}
		}
		for _, program := range [][]string{{"gzip", "-c"}, {"gzip", "-1c"}, {"pigz", "-c"}, {"pigz", "-ic"}, {"igzip", "-c"}, {"bgzip", "-c"}} {
			if _, err := exec.LookPath(program[0]); err != nil {
				continue
			}
			run := exec.Command(program[0], program[1:]...)
			run.Stdin = bytes.NewReader(data)
			compressed, err := run.Output()
			if err != nil {
				t.Fatal(program, err)
			}
			got, err := io.ReadAll(NewReader(bytes.NewReader(compressed)))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, %q: %d bytes of %d, error %v", name, program, len(got), len(data), err)
			}
		}
	}
}

func TestReadsInSmallPieces(t *testing.T) {
	data := samples.All(mixedSize)["mixed"][:200_000]
	compressed := compress(t, data, 6)
	got, err := io.ReadAll(iotest.OneByteReader(NewReader(iotest.OneByteReader(bytes.NewReader(compressed)))))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d, error %v", len(got), len(data), err)
	}
	got, err = io.ReadAll(NewReader(iotest.DataErrReader(bytes.NewReader(compressed))))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("data beside io.EOF: %d bytes of %d, error %v", len(got), len(data), err)
	}
}

// headerLength finds the end of the header of a member without data: an empty block of
// 5 bytes follows, and 8 of the trailer.
func headerLength(member []byte) int { return len(member) - 5 - 8 }

// withHeaderChecksum adds what compress/gzip does not write, RFC 1952, section 2.3.1:
// FHCRC. It is off by wrong.
func withHeaderChecksum(member []byte, wrong uint16) []byte {
	header := bytes.Clone(member[:headerLength(member)])
	header[3] |= hasHeaderChecksum
	checked := binary.LittleEndian.AppendUint16(header, uint16(crc32.ChecksumIEEE(header))+wrong)
	return append(checked, member[headerLength(member):]...)
}

func TestMembersAndWhatFollows(t *testing.T) {
	a, b := []byte("one"), samples.All(mixedSize)["mixed"][:70_000]
	two := append(compress(t, a, 6), compress(t, b, 1)...)
	var named bytes.Buffer
	w := gzip.NewWriter(&named)
	w.Name, w.Comment, w.Extra = "name", "comment", make([]byte, 300)
	w.Close()
	checked := withHeaderChecksum(named.Bytes(), 0)
	both := append(bytes.Clone(a), b...)
	for name, c := range map[string]struct {
		compressed, want []byte
		err              error
	}{
		"two members":  {two, both, nil},
		"with names":   {append(named.Bytes(), two...), both, nil},
		"checked name": {append(checked, two...), both, nil},
		"wrong name":   {append(withHeaderChecksum(named.Bytes(), 1), two...), nil, errHeader},
		"cut checksum": {checked[:headerLength(named.Bytes())+1], nil, io.ErrUnexpectedEOF},
		"padded":       {append(bytes.Clone(two), make([]byte, 10_000)...), both, nil},
		"junk":         {append(bytes.Clone(two), "junk"...), both, new(TrailingError)},
		"one byte":     {append(bytes.Clone(two), 'x'), both, new(TrailingError)},
		"half a magic": {append(bytes.Clone(two), 0x1f), both, io.ErrUnexpectedEOF},
		"nothing":      {nil, nil, io.ErrUnexpectedEOF},
		"no gzip":      {[]byte("hello, hello"), nil, errHeader},
		"cut trailer":  {two[:len(two)-1], both, io.ErrUnexpectedEOF},
	} {
		got, err := io.ReadAll(NewReader(bytes.NewReader(c.compressed)))
		trailing := (*TrailingError)(nil)
		if !bytes.Equal(got, c.want) || !errors.Is(err, c.err) && !(errors.As(err, &trailing) && errors.As(c.err, &trailing)) {
			t.Errorf("%s: %d bytes of %d, error %v, wanted %v", name, len(got), len(c.want), err, c.err)
		}
	}
	for place, want := range map[int]error{1: errLength, 5: errChecksum} {
		damaged := bytes.Clone(two)
		damaged[len(damaged)-place] ^= 1
		if got, err := io.ReadAll(NewReader(bytes.NewReader(damaged))); !errors.Is(err, want) || !bytes.Equal(got, both) {
			t.Errorf("damaged trailer: %d bytes, error %v", len(got), err)
		}
	}
}

func TestSourceErrorsComeThrough(t *testing.T) {
	compressed := compress(t, samples.All(mixedSize)["mixed"], 6)
	broken := errors.New("broken")
	got, err := io.ReadAll(NewReader(io.MultiReader(bytes.NewReader(compressed[:50_000]), iotest.ErrReader(broken))))
	if err != broken || len(got) == 0 {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

// TestGivesWhatIsReadable cuts everywhere: what comes before the cut comes out.
func TestGivesWhatIsReadable(t *testing.T) {
	data := samples.All(mixedSize)["mixed"][:3000]
	compressed := compress(t, data, 6)
	previous := 0
	for cut := range compressed {
		got, err := io.ReadAll(NewReader(bytes.NewReader(compressed[:cut])))
		if err != io.ErrUnexpectedEOF || !bytes.HasPrefix(data, got) || len(got) < previous {
			t.Fatalf("cut at %d: %d bytes, error %v", cut, len(got), err)
		}
		previous = len(got)
	}
	if previous != len(data) {
		t.Errorf("cut before the last byte: %d of %d bytes", previous, len(data))
	}
}

// Whatever bit is wrong, all that gzip gives comes out, and it is an error if it is one for
// gzip: some of what follows a bad match is right.
func TestGivesAllThatGzipGives(t *testing.T) {
	if _, err := exec.LookPath("gzip"); err != nil {
		t.Skip("no gzip here")
	}
	random := rand.New(rand.NewPCG(3, 4))
	data := samples.All(mixedSize)["mixed"]
	for range 300 {
		plain := data[:random.IntN(50_000)+1]
		damaged := compress(t, plain, 1+random.IntN(9))
		const header = 10
		place := header + random.IntN(len(damaged)-header)
		damaged[place] ^= 1 << random.IntN(8)
		run := exec.Command("gzip", "-dc")
		run.Stdin = bytes.NewReader(damaged)
		want, wantErr := run.Output()
		got, err := io.ReadAll(NewReader(bytes.NewReader(damaged)))
		if len(got) < len(want) || (err == nil) != (wantErr == nil) {
			t.Errorf("byte %d of %d: %d bytes, error %v; gzip: %d bytes, error %v", place, len(damaged), len(got), err, len(want), wantErr)
		}
	}
}

func TestResumesFromEveryPoint(t *testing.T) {
	data := samples.All(mixedSize)["mixed"]
	for name, compressed := range map[string][]byte{
		"one member": compress(t, data, 6), "fast": compress(t, data, 1), "stored": compress(t, data, 0),
		"members": append(compress(t, data[:700_000], 6), compress(t, data[700_000:], 9)...),
	} {
		var points []*Point
		r := NewReader(bytes.NewReader(compressed))
		r.OnBlock = func(p *Point) {
			copied := *p
			copied.Window = bytes.Clone(p.Window)
			points = append(points, &copied)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		if len(points) < 3 {
			t.Fatalf("%s: %d points", name, len(points))
		}
		resumed := new(Reader)
		for i, p := range points {
			resumed.Resume(bytes.NewReader(compressed[p.Bit/8:]), p)
			if resumed.Offset() != p.Offset {
				t.Fatalf("%s: point %d at %d: resumed at %d", name, i, p.Offset, resumed.Offset())
			}
			trimmed := *p
			trimmed.Window = bytes.Clone(p.Window)
			resumed.ResumeTracking(bytes.NewReader(compressed[p.Bit/8:]), p)
			if _, err := io.CopyN(io.Discard, resumed, WindowSize); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			resumed.TrimWindow(trimmed.Window)
			resumed.Resume(bytes.NewReader(compressed[p.Bit/8:]), &trimmed)
			size := min(100_000, len(data)-int(p.Offset))
			if i%20 == 0 {
				size = len(data) - int(p.Offset)
			}
			got, err := io.ReadAll(io.LimitReader(resumed, int64(size)))
			if err != nil || !bytes.Equal(got, data[p.Offset:][:size]) {
				t.Fatalf("%s: point %d at %d: wrong data, error %v", name, i, p.Offset, err)
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(compress(f, []byte("hello, hello, hello"), 6))
	f.Add(compress(f, samples.All(mixedSize)["mixed"][:3000], 9))
	f.Add(append(compress(f, []byte("a"), 1), compress(f, []byte("b"), flate.HuffmanOnly)...))
	f.Fuzz(func(t *testing.T, compressed []byte) {
		const limit = 4 << 20
		got, gotErr := io.ReadAll(io.LimitReader(NewReader(bytes.NewReader(compressed)), limit))
		var want []byte
		r, wantErr := gzip.NewReader(bytes.NewReader(compressed))
		if wantErr == nil {
			want, wantErr = io.ReadAll(io.LimitReader(r, limit))
		}
		if wantErr == nil && gotErr != errHeader && (gotErr != nil || !bytes.Equal(got, want)) {
			t.Fatalf("%d bytes, error %v, wanted %d", len(got), gotErr, len(want))
		}
		if gotErr == nil && wantErr != nil && !isPadding(compressed, wantErr) && len(got) < limit {
			t.Fatalf("%d bytes without an error, wanted %v", len(got), wantErr)
		}
		if n := min(len(got), len(want)); !bytes.Equal(got[:n], want[:n]) {
			t.Fatalf("other bytes than compress/gzip gives")
		}
	})
}

// isPadding reports whether compress/gzip objects to what we take: zeros after the
// last member, which it takes for a header that is cut or bad.
func isPadding(compressed []byte, err error) bool {
	const header = 10
	for zeros := 1; err == io.ErrUnexpectedEOF && zeros < header && bytes.HasSuffix(compressed, make([]byte, zeros)); zeros++ {
		if r, err := gzip.NewReader(bytes.NewReader(compressed[:len(compressed)-zeros])); err == nil {
			if _, err := io.Copy(io.Discard, r); err == nil {
				return true
			}
		}
	}
	return err == gzip.ErrHeader && len(compressed) > header && bytes.HasSuffix(compressed, []byte{0})
}

func BenchmarkReader(b *testing.B) {
	compressed := compress(b, samples.All(mixedSize)["mixed"], 6)
	b.SetBytes(int64(len(samples.All(mixedSize)["mixed"])))
	r := new(Reader)
	for b.Loop() {
		r.Reset(bytes.NewReader(compressed))
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}

// A member is read to its last bit, and what follows is left where it is.
func TestResetMemberLeavesWhatFollows(t *testing.T) {
	var r Reader
	for name, data := range samples.All(mixedSize) {
		for _, level := range []int{flate.HuffmanOnly, 0, 6} {
			member := compress(t, data, level)
			for _, rest := range []string{"", "r", "rest of the stream", string(member)} {
				var src io.Reader = strings.NewReader(string(member) + rest)
				if len(data) < 1000 {
					src = iotest.OneByteReader(src)
				}
				buffered := bufio.NewReaderSize(src, []int{16, inputSize}[len(rest)%2])
				r.ResetMember(buffered)
				got, err := io.ReadAll(&r)
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%s, level %d: %d bytes of %d, error %v", name, level, len(got), len(data), err)
				}
				if left, err := io.ReadAll(buffered); err != nil || string(left) != rest {
					t.Errorf("%s, level %d: %d bytes left of %d, error %v", name, level, len(left), len(rest), err)
				}
			}
		}
	}
}
