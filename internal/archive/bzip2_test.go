package archive

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"testing"

	"pcap-replay/stream"
)

func bzipped(t testing.TB, data []byte, flags ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("bzip2"); err != nil {
		t.Skip("no bzip2 here")
	}
	run := exec.Command("bzip2", append(flags, "-c")...)
	run.Stdin = bytes.NewReader(data)
	compressed, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	return compressed
}

func TestBzip2FromEveryBlock(t *testing.T) {
	data, _ := noisyTar(t, 2, 600_000)
	two := append(bzipped(t, data[:500_000], "-1"), bzipped(t, data[500_000:], "-3")...)
	two = append(two, bzipped(t, nil)...)
	type place struct{ offset, bit int64 }
	var places []place
	r := newBzip2Reader(bytes.NewReader(two), 0, 2, func(offset, bit int64, _ []byte) { places = append(places, place{offset, bit}) })
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes of %d, error %v", len(got), len(data), err)
	}
	if len(places) < 8 {
		t.Errorf("%d blocks", len(places))
	}
	for _, p := range places {
		r := newBzip2Reader(bytes.NewReader(two[p.bit/8:]), p.bit, 1, nil)
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data[p.offset:]) {
			t.Fatalf("from %d on: %d bytes, error %v", p.offset, len(got), err)
		}
	}
}

func TestBzip2Damage(t *testing.T) {
	data, _ := noisyTar(t, 1, 250_000)
	compressed := bzipped(t, data, "-1")
	for name, c := range map[string]struct {
		input []byte
		whole bool
		err   error
	}{
		"cut":           {compressed[:len(compressed)-20_000], false, new(stream.DecompressionError)},
		"cut at end":    {compressed[:len(compressed)-1], true, new(stream.DecompressionError)},
		"bad block":     {append(append(bytes.Clone(compressed[:60_000]), 0xff, 0xff), compressed[60_002:]...), false, new(stream.DecompressionError)},
		"bad checksum":  {append(bytes.Clone(compressed[:len(compressed)-2]), 0, 0), true, new(stream.DecompressionError)},
		"trailing junk": {append(bytes.Clone(compressed), "junk"...), true, new(stream.TrailingError)},
		"padding":       {append(bytes.Clone(compressed), 0, 0, 0, 0, 0), true, nil},
		"header only":   {[]byte("BZh9"), false, new(stream.DecompressionError)},
	} {
		r := newBzip2Reader(bytes.NewReader(c.input), 0, 2, nil)
		got, err := io.ReadAll(r)
		r.Close()
		damage, trailing := (*stream.DecompressionError)(nil), (*stream.TrailingError)(nil)
		sameError := err == c.err || errors.As(err, &damage) && errors.As(c.err, &damage) || errors.As(err, &trailing) && errors.As(c.err, &trailing)
		if !sameError || !bytes.HasPrefix(data, got) || c.whole && len(got) < len(data) {
			t.Errorf("%s: %d bytes of %d, error %v", name, len(got), len(data), err)
		}
	}
}

func FuzzBzip2(f *testing.F) {
	f.Add(bzipped(f, []byte("hello, hello")))
	f.Add(append(bzipped(f, []byte("a")), bzipped(f, []byte("b"))...))
	f.Fuzz(func(t *testing.T, compressed []byte) {
		r := newBzip2Reader(bytes.NewReader(compressed), 0, 2, nil)
		defer r.Close()
		_, _ = io.Copy(io.Discard, r)
	})
}
