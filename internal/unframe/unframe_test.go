package unframe

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// frame compresses data, which is long enough for several blocks.
func frame(t testing.TB, magic string) []byte {
	t.Helper()
	data := bytes.Repeat([]byte("some packets, and some more; "), 20_000)
	var b bytes.Buffer
	var w io.WriteCloser
	if magic == Zstd {
		w, _ = zstd.NewWriter(&b)
	} else {
		z := lz4.NewWriter(&b)
		options := []lz4.Option{lz4.BlockSizeOption(lz4.Block64Kb)}
		if magic == LegacyLZ4 {
			options = []lz4.Option{lz4.LegacyOption(true)}
		}
		if err := z.Apply(options...); err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(magic string, src *bufio.Reader) *Reader {
	if magic == Zstd {
		return NewZstd(src)
	}
	return NewLZ4(src, func(head []byte) bool { return bytes.HasPrefix(head, []byte("next")) })
}

var magics = []string{LZ4, LegacyLZ4, Zstd}

// A frame is read to its last byte, or skipped to it from any position, and what follows is
// left in the source.
func TestReadsExactlyOneFrame(t *testing.T) {
	for _, magic := range magics {
		data := frame(t, magic)
		for read := 0; read < len(data); read += 1 + len(data)/50 {
			src := bufio.NewReader(bytes.NewReader(slices.Concat(data, []byte("next frame"))))
			f := open(magic, src)
			head := make([]byte, read)
			if _, err := io.ReadFull(f, head); err != nil || !bytes.Equal(head, data[:read]) {
				t.Fatalf("%x: %v", magic, err)
			}
			if read%2 == 0 {
				if rest, err := io.ReadAll(f); err != nil || !bytes.Equal(rest, data[read:]) {
					t.Fatalf("%x: %d bytes of %d, %v", magic, len(rest), len(data)-read, err)
				}
			} else if !f.SkipRest() {
				t.Fatalf("%x: no end after %d bytes", magic, read)
			}
			if rest, err := io.ReadAll(src); err != nil || string(rest) != "next frame" {
				t.Fatalf("%x: %q is left, %v", magic, rest, err)
			}
		}
	}
}

// The length of a block that is too large, or a source that ends, is no end of a frame.
func TestSkipRestNoticesDamage(t *testing.T) {
	for _, magic := range magics {
		data := frame(t, magic)
		src := bufio.NewReader(bytes.NewReader(data[:len(data)-1]))
		if f := open(magic, src); magic != LegacyLZ4 && f.SkipRest() {
			t.Errorf("%x: a frame that is cut has an end", magic)
		}
		first, second := 7, []byte{0xff, 0xff, 0xff, 0x7f} // of LZ4
		switch magic {
		case LegacyLZ4:
			first = 4
		case Zstd:
			header, _ := open(magic, bufio.NewReader(bytes.NewReader(data))).firstPieces()
			first = header
		}
		copy(data[first:], second)
		if f := open(magic, bufio.NewReader(bytes.NewReader(data))); f.SkipRest() {
			t.Errorf("%x: a frame with a wrong length has an end", magic)
		}
	}
}

// A Finder passes magic numbers that begin no frame.
func TestFindsFrames(t *testing.T) {
	for _, magic := range magics {
		data := frame(t, magic)
		noise := slices.Concat([]byte("noise"), []byte(magic), bytes.Repeat([]byte{0xff}, 500), []byte(magic[:3]))
		src := bufio.NewReaderSize(bytes.NewReader(slices.Concat(noise, data)), 128<<10)
		finder := NewFinder(magic)
		if !finder.Find(src, func() int64 { return 0 }) {
			t.Fatalf("%x: not found", magic)
		}
		if rest, _ := io.ReadAll(src); !bytes.Equal(rest, data) {
			t.Errorf("%x: found with %d bytes left, wanted %d", magic, len(rest), len(data))
		}
		if finder.Find(bufio.NewReader(bytes.NewReader(noise)), func() int64 { return 0 }) {
			t.Errorf("%x: found in noise", magic)
		}
		finder.Close()
	}
}

// Data that consists of the headers of frames is probed in proportion to its size.
func TestFinderBoundsItsProbes(t *testing.T) {
	const size = 1 << 20
	for _, magic := range magics {
		data := bytes.Repeat([]byte(magic+"\x60\x70\x73\xff\xff\x00\x00"), size/11)
		src := bufio.NewReaderSize(bytes.NewReader(data), 64<<10)
		finder := NewFinder(magic)
		defer finder.Close()
		position := func() int64 { return int64(size - src.Buffered()) }
		for finder.Find(src, position) {
			_, _ = src.Discard(1)
		}
		if wanted := int64(freeProbes + size/bytesPerProbe); finder.used > wanted || finder.used == 0 {
			t.Errorf("%q: %d probes, wanted at most %d", magic, finder.used, wanted)
		}
	}
}
