package merge

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// All tests overwrite free memory, to find code that still uses it. Otherwise such a fault
// shows only if the memory has been reused.
func init() {
	spoilt := stream.Packet{Time: -1, Data: []byte("freed"), WireLength: 5}
	whenFree = func(data []byte, batch []stream.Packet) {
		for i := range data {
			data[i] = 0xa5
		}
		for i := range batch {
			batch[i] = spoilt
		}
	}
}

// TestLargePackets merges packets of which one or two do not fit into a block, so that data
// is moved from a block to the next one.
func TestLargePackets(t *testing.T) {
	for _, length := range []int{3 << 10, 60 << 10, 200 << 10} {
		for _, window := range []int64{0, 1e9} {
			random := rand.New(rand.NewPCG(6, uint64(length)))
			captures := NewCaptures(files.NewPool(16, nil), window, 256<<20)
			folder := t.TempDir()
			var list []*Input
			var inputs [][]stream.Packet
			for i := range 6 {
				packets := capture(random, i, (8<<20)/length, lab.Start, 1e6, 0)
				for p := range packets {
					packets[p].Data = append(packets[p].Data, make([]byte, length)...)
					packets[p].WireLength = uint32(len(packets[p].Data))
				}
				path := filepath.Join(folder, fmt.Sprint(i))
				writeCapture(t, path, packets, []stream.Compression{stream.Uncompressed, stream.LZ4}[i%2])
				list = append(list, captures.File(path, Contents{First: packets[0].Time, Earliest: packets[0].Time, Disorder: UnknownDisorder}))
				inputs = append(inputs, packets)
			}
			got, _ := mergeAll(t, list)
			wantOrder(t, got, inputs)
		}
	}
}

// A block that was made for a packet is used again for packets of about this size.
func TestBlocksAreUsedAgain(t *testing.T) {
	b := newBlocks(1 << 20)
	first := b.newBlock(70_001)
	b.free(first)
	if again := b.newBlock(80_123); again != first || len(again.data) < 80_123 {
		t.Errorf("a new block was made while one of %d bytes was free", len(first.data))
	}
}
