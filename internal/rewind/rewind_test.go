package rewind

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

// TestRewind goes back again and again by random distances. What is read after that is what the
// source has there.
func TestRewind(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	for range 200 {
		reader := NewReader(bytes.NewReader(data))
		src := bufio.NewReaderSize(reader, 16+random.IntN(8000))
		limit := 0
		for range 100 {
			before := reader.Position(src)
			got := make([]byte, random.IntN(20_000))
			n, _ := io.ReadFull(src, got)
			if !bytes.Equal(got[:n], data[before:before+int64(n)]) || reader.Position(src) != before+int64(n) {
				t.Fatalf("offset %d: %d bytes differ, or the position is %d", before, n, reader.Position(src))
			}
			if random.IntN(5) == 0 {
				limit = max(limit, src.Size()+random.IntN(100_000))
				reader.KeepLast(limit, src)
			}
			if limit == 0 {
				continue
			}
			end := reader.Position(src)
			to := max(0, end-int64(random.IntN(limit)))
			wanted := max(to, min(end, reader.offset-int64(len(reader.kept))))
			reader.Rewind(src, to)
			if at := reader.Position(src); at != wanted || at > end {
				t.Fatalf("went back from %d to %d, wanted %d", end, at, wanted)
			}
		}
		reader.Free()
	}
}
