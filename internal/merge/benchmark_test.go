package merge

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// BenchmarkMerge merges four captures: in order, up to a millisecond out of order, and with a
// clock that sometimes steps back.
func BenchmarkMerge(b *testing.B) {
	const (
		inputs = 4
		count  = 250_000
		gap    = int64(time.Microsecond)
	)
	for _, kind := range []struct {
		name     string
		disorder int64
		steps    int // one in so many packets
	}{{name: "in order"}, {name: "out of order", disorder: int64(time.Millisecond)}, {name: "clock steps", steps: 1000}} {
		folder := b.TempDir()
		for i := range inputs {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			packets := capture(random, i, count, lab.Start, gap, kind.disorder)
			for n := kind.steps; kind.steps > 0 && n < count; n++ {
				packets[n].Time -= int64(n/kind.steps) * 100 * int64(time.Millisecond)
			}
			writeCapture(b, filepath.Join(folder, fmt.Sprint(i)), packets, stream.Uncompressed)
		}
		b.Run(kind.name, func(b *testing.B) {
			b.ReportAllocs()
			captures := NewCaptures(files.NewPool(inputs, nil), int64(10*time.Millisecond), 64<<20)
			batch := make([]stream.Packet, maxBatch)
			for b.Loop() {
				var list []*Input
				for i := range inputs {
					path := filepath.Join(folder, fmt.Sprint(i))
					list = append(list, captures.File(path, Contents{First: lab.Start, Earliest: lab.Start - int64(time.Hour), Disorder: UnknownDisorder}))
				}
				m, err := New(list, Options{Trouble: strict})
				if err != nil {
					b.Fatal(err)
				}
				packets := 0
				for err == nil {
					var n int
					n, err = m.Read(batch)
					packets += n
				}
				if err != io.EOF || packets != inputs*count {
					b.Fatalf("%d packets, error %v", packets, err)
				}
				m.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(inputs*count), "ns/packet")
		})
	}
}
