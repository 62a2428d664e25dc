package merge

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"pcap-replay/stream"
)

// blocks are the buffers into which inputs are read, by size. They are reused, so that a
// merge allocates no memory while it runs.
type blocks struct {
	memory int64 // limit of all inputs together, in bytes
	open   atomic.Int64
	used   atomic.Int64 // by all of them

	mutex   sync.Mutex
	vacant  map[int][]*block
	batches map[int][][]stream.Packet
}

// block is memory that the data of packets is in.
type block struct {
	data  []byte
	users int  // the reader, and each batch of packets that point into it
	kept  bool // the data of kept packets is in it
}

func newBlocks(memory int64) *blocks {
	return &blocks{memory: memory, vacant: map[int][]*block{}, batches: map[int][][]stream.Packet{}}
}

// whenFree overwrites memory that must not be used any more, in tests.
var whenFree = func(data []byte, batch []stream.Packet) {}

// share is the memory that an open input may hold.
func (b *blocks) share() int64 { return b.memory / max(b.open.Load(), 1) }

// newBlock returns a block of at least size bytes with one user. Its size is a power of two:
// blocks for packets of all sizes would be used again only for packets of the same size.
func (b *blocks) newBlock(size int) *block {
	size = 1 << bits.Len(uint(size-1))
	b.mutex.Lock()
	defer b.mutex.Unlock()
	vacant := b.vacant[size]
	if len(vacant) == 0 {
		return &block{data: make([]byte, size), users: 1}
	}
	last := len(vacant) - 1
	reused := vacant[last]
	b.vacant[size] = vacant[:last]
	reused.users = 1
	return reused
}

func (b *blocks) free(unused *block) {
	size := len(unused.data)
	if !unused.kept {
		whenFree(unused.data, nil)
	}
	if unused.kept || size > stream.DefaultBlockSize { // it was made larger for a large packet
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.vacant[size] = append(b.vacant[size], unused)
}

func (b *blocks) newBatch(size int) []stream.Packet {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	vacant := b.batches[size]
	if len(vacant) == 0 {
		return make([]stream.Packet, size)
	}
	last := len(vacant) - 1
	b.batches[size] = vacant[:last]
	return vacant[last]
}

func (b *blocks) freeBatch(unused []stream.Packet) {
	whenFree(nil, unused)
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.batches[len(unused)] = append(b.batches[len(unused)], unused)
}

// freeVacant leaves the memory of blocks and batches that are not used to the garbage
// collector.
func (b *blocks) freeVacant() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	clear(b.vacant)
	clear(b.batches)
}

// slab is memory for copies of data, one after another. A full slab is freed with the last
// of its copies.
type slab []byte

const slabSize = 256 << 10

func (s *slab) clone(data []byte) []byte {
	if len(data) > cap(*s)-len(*s) {
		*s = make([]byte, 0, max(slabSize, len(data)))
	}
	start := len(*s)
	*s = append(*s, data...)
	return (*s)[start:len(*s):len(*s)]
}

const (
	// blockBudget limits the blocks that are being read, in bytes: see blockSize. With
	// more, data would leave the CPU cache before it is merged.
	blockBudget  = 1 << 20
	minBlockSize = 4 << 10
	// packetSize is the size of a stream.Packet in memory, in bytes.
	packetSize = 40
)

// blockSize is the number of bytes that an input reads at a time, which is less the more
// inputs are open. For a few inputs it is the default. Beyond that, the sum grows with the
// logarithm of their number.
func blockSize(open int) int { return partOf(blockBudget, open) }

// partOf divides a budget among the open inputs, in powers of two.
func partOf(budget, open int) int {
	size := max(min(budget/(open+1), stream.DefaultBlockSize), minBlockSize)
	return 1 << (bits.Len(uint(size)) - 1)
}

// batchSize is the number of packets that are read at a time from blocks of a size.
func batchSize(blockSize int) int { return min(blockSize/64, maxBatch) }
