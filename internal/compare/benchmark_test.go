package compare_test

import (
	"encoding/binary"
	"flag"
	"io"
	"runtime"
	"runtime/debug"
	"testing"

	"pcap-replay/internal/compare"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

var large = flag.Int("compare.packets", 200_000, "packets in each capture of the benchmark and of the test of memory")

// made is a Reader of packets that are made as they are read.
type made struct {
	count, next int
	change      func(number int, packet *stream.Packet) (keep bool)
	frames      [][]byte
}

func newMade(count int, change func(int, *stream.Packet) bool) *made {
	m := &made{count: count, change: change}
	for i := range 256 {
		m.frames = append(m.frames, lab.Frame(uint16(i), uint32(i), 120))
	}
	return m
}

func (m *made) Section() stream.Section { return stream.Section{Format: stream.FormatPcapNano} }

func (m *made) Read(dst []stream.Packet) (n int, err error) {
	for n < len(dst) && m.next < m.count {
		data := m.frames[n]
		binary.BigEndian.PutUint16(data[18:], uint16(m.next))
		binary.BigEndian.PutUint32(data[42:], uint32(m.next))
		data[22], data[80] = 64, 0
		dst[n] = stream.Packet{Time: lab.Start + int64(m.next)*1000, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet}
		if m.change(m.next, &dst[n]) {
			n++
		}
		m.next++
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// changes are what may have happened to all packets of a capture.
var changes = []struct {
	name   string
	change func(int, *stream.Packet) bool
}{
	{"same", func(int, *stream.Packet) bool { return true }},
	{"half", func(number int, _ *stream.Packet) bool { return number/1000%2 == 0 }},
	{"TTL", func(_ int, p *stream.Packet) bool { p.Data[22] = 63; return true }},
	{"other", func(_ int, p *stream.Packet) bool { p.Data[42], p.Data[80] = 77, 1; return true }},
	{"identical", nil},
}

func readers(change func(int, *stream.Packet) bool) (reference, capture *made) {
	if change == nil {
		change = func(_ int, p *stream.Packet) bool { clear(p.Data[42:46]); clear(p.Data[18:20]); return true }
		return newMade(*large, change), newMade(*large, change)
	}
	return newMade(*large, changes[0].change), newMade(*large, change)
}

// BenchmarkCompare gives the time for a packet of the reference and its partner together.
func BenchmarkCompare(b *testing.B) {
	for _, c := range changes {
		b.Run(c.name, func(b *testing.B) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(memory)) // as the tool does
			var heap, spilled uint64
			for b.Loop() {
				reference, capture := readers(c.change)
				peak := peakHeap(capture)
				r, err := compare.Compare(reference, capture, compare.Options{Memory: memory, Tmp: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				heap, spilled = max(heap, *peak), uint64(r.Spilled)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(*large), "ns/packet")
			b.ReportMetric(float64(heap)/(1<<20), "MiB-peak")
			b.ReportMetric(float64(spilled)/(1<<20), "MiB-spilled")
		})
	}
}

// peakHeap measures the memory that the heap has from the system, now and then while a
// reader is read.
func peakHeap(m *made) *uint64 {
	peak := new(uint64)
	change := m.change
	m.change = func(number int, p *stream.Packet) bool {
		if number%50000 == 49999 {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			*peak = max(*peak, stats.HeapInuse)
		}
		return change(number, p)
	}
	return peak
}

// Memory stays within the bound, whatever the captures have in common.
func TestMemory(t *testing.T) {
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			for _, most := range []int64{64 << 20, memory} {
				defer debug.SetMemoryLimit(debug.SetMemoryLimit(most)) // as the tool does
				runtime.GC()
				reference, capture := readers(c.change)
				peak := peakHeap(capture)
				if _, err := compare.Compare(reference, capture, compare.Options{Memory: most, Tmp: t.TempDir()}); err != nil {
					t.Fatal(err)
				}
				if *peak > uint64(most) {
					t.Errorf("%d MiB used, wanted %d at most", *peak>>20, most>>20)
				}
			}
		})
	}
}
