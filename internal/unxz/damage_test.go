package unxz

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// stream is what "xz --check=crc32 --block-list=12,0 --lzma2=dict=4KiB" makes of "hello,
// hello, hello": a header of 12 bytes, two blocks that begin at 12 and 44, an index at 72
// and a footer at 84.
const stream = "fd377a585a0000016922de36" +
	"0200210100000000372797d6" + "01000b68656c6c6f2c2068656c6c6f00" + "ffc5ccf3" +
	"0200210100000000372797d6" + "0100062c2068656c6c6f0000" + "3bd8ef62" +
	"0002200c1b0700006ce0b6b2" + "3e300d8b020000000001595a"

// text is LZMA2 data of 165 bytes of text, with lc=1, lp=1 and pb=1.
const text = "e000a40016370034194a5aa1bde0462577a05b7ac8491f4c1213d8180000"

func fromHex(t testing.TB, digits string) []byte {
	t.Helper()
	data, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// An error says what is broken, and all in front of it comes out.
func TestSaysWhatIsBroken(t *testing.T) {
	for _, c := range []struct {
		place      int
		change     byte
		plain, err string
	}{
		{1, 1, "", `header: it begins with "\xfd6zXZ\x00"`},
		{7, 1, "", "header: CRC32 is 0x41d912ff, wanted 0x36de2269"},
		{14, 4, "", "header of block 1: CRC32 is"},
		{24, 4, "", "block 1: unexpected LZMA2 chunk"},
		{30, 1, "helmo, hello", "block 1: CRC32 is 0x"},
		{40, 1, "hello, hello", "block 1: CRC32 is 0xf3ccc5ff, wanted 0xf3ccc5fe"},
		{61, 1, "hello, hello, iello", "block 2: CRC32 is"},
		{67, 1, "hello, hello, hello", "block 2: its padding is not zero"},
		{74, 1, "hello, hello, hello", "index: CRC32 is"},
		{84, 1, "hello, hello, hello", "footer: CRC32 is"},
		{95, 1, "hello, hello, hello", "footer: it ends with 00 01 59 5b, wanted 00 01 59 5a"},
	} {
		damaged := fromHex(t, stream)
		damaged[c.place] ^= c.change
		got, err := readAll(bytes.NewReader(damaged))
		if string(got) != c.plain || err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("byte %d: %q, error %q", c.place, got, err)
		}
	}
	for size := 1; size < len(stream)/2; size++ {
		if got, err := readAll(bytes.NewReader(fromHex(t, stream)[:size])); err == nil || !strings.HasPrefix("hello, hello, hello", string(got)) || !strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) {
			t.Errorf("cut at %d: %q, error %v", size, got, err)
		}
	}
}

// wrap makes a stream of one block without a checksum. The index says that it has so many
// bytes.
func wrap(data []byte, dictionary byte, plainSize uint64) []byte {
	sealed := func(data []byte) []byte {
		return binary.LittleEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
	}
	flags := []byte{0, 0}
	header := append([]byte(headerMagic), sealed(flags)...)
	block := append(sealed([]byte{2, 0, filterLZMA2, 1, dictionary, 0, 0, 0}), data...)
	index := binary.AppendUvarint([]byte{0, 1}, uint64(len(block)))
	index = binary.AppendUvarint(index, plainSize)
	for len(block)%4 != 0 {
		block = append(block, 0)
	}
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = sealed(index)
	backward := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1)), flags...)
	footer := append(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(backward)), backward...)
	return slices.Concat(header, block, index, footer, []byte(footerMagic))
}

func TestBoundsTheDictionary(t *testing.T) {
	data := []byte{1, 0, 0, 'x', 0}
	for _, c := range []struct {
		dictionary byte
		isAllowed  bool
	}{{0, true}, {28, true}, {29, false}, {40, false}, {41, false}} {
		got, err := readAll(bytes.NewReader(wrap(data, c.dictionary, 1)))
		if (err == nil) != c.isAllowed || err == nil && string(got) != "x" {
			t.Errorf("%d: %q, error %v", c.dictionary, got, err)
		}
	}
}

// It needs no program to compress.
func TestReadsText(t *testing.T) {
	want := strings.Repeat("hello, hello, hello, hello, hello, hello, hello, HELLO\n", 3)
	got, err := readAll(bytes.NewReader(wrap(fromHex(t, text), 0, uint64(len(want)))))
	if string(got) != want || err != nil {
		t.Errorf("%q, error %v", got, err)
	}
}

// A dictionary takes memory only for what there is to keep in it, and a Reader takes none
// for the next stream.
func TestUsesLittleMemory(t *testing.T) {
	small := wrap([]byte{1, 0, 0, 'x', 0}, 28, 1) // 64 MiB
	r := NewReader(maxDictionary)
	src := bufio.NewReader(nil)
	read := func() {
		src.Reset(bytes.NewReader(small))
		r.Reset(src)
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 200_000 {
		t.Errorf("%d bytes for one byte", used)
	}
	runtime.ReadMemStats(&before)
	for range 100 {
		read()
	}
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) / 100; used > 50_000 {
		t.Errorf("%d bytes for each stream that follows", used)
	}
}

// checkAgainstXZ compares with the program xz, where it is installed: the same bytes and
// the same success.
func checkAgainstXZ(t *testing.T, compressed, got []byte, err error) {
	t.Helper()
	want, wantErr := xz(t, compressed, "-dcqQ")
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error %v, xz: %v", err, wantErr)
	}
	if err == nil && !bytes.Equal(got, want) || len(got) < len(want) {
		t.Fatalf("%d bytes, error %v, xz: %d bytes", len(got), err, len(want))
	}
}

func FuzzReader(f *testing.F) {
	f.Add(fromHex(f, stream))
	f.Add(append(fromHex(f, stream), fromHex(f, stream)...))
	f.Add(wrap(nil, 0, 0))
	f.Fuzz(func(t *testing.T, compressed []byte) {
		if len(compressed) == 0 {
			return // xz takes nothing for nothing
		}
		got, err := readAll(bytes.NewReader(compressed))
		if err != nil && (strings.Contains(err.Error(), "dictionary") || strings.Contains(err.Error(), "not known")) {
			return // xz may know it
		}
		checkAgainstXZ(t, compressed, got, err)
	})
}

// FuzzLZMA2 reaches what checksums protect from FuzzReader.
func FuzzLZMA2(f *testing.F) {
	f.Add([]byte{1, 0, 0, 'x', 0}, byte(0))
	f.Add(fromHex(f, text), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, dictionary byte) {
		dictionary %= 12 // up to 256 KiB
		got, _ := readAll(bytes.NewReader(wrap(data, dictionary, 0)))
		compressed := wrap(data, dictionary, uint64(len(got))) // it may be right now
		got, err := readAll(bytes.NewReader(compressed))
		checkAgainstXZ(t, compressed, got, err)
	})
}
