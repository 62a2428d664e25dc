package merge

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"pcap-replay/stream"
)

// blocks are what inputs are read into, all by size. They are used again and
// again, so that a merge takes no new memory while it goes on.
type blocks struct {
	memory int64 // bound of what all inputs together hold, in bytes
	open   atomic.Int64
	used   atomic.Int64 // by all of them

	mutex   sync.Mutex
	vacant  map[int][]*block
	batches map[int][][]stream.Packet
}

// block is memory that packets point into.
type block struct {
	data  []byte
	users int  // the reader, and each batch of packets that point into it
	kept  bool // packets point into it for longer than that
}

func newBlocks(memory int64) *blocks {
	return &blocks{memory: memory, vacant: map[int][]*block{}, batches: map[int][][]stream.Packet{}}
}

// whenFree, in tests, spoils what nobody is to use any more.
var whenFree = func(data []byte, batch []stream.Packet) {}

// share is how much memory an open input may hold.
func (b *blocks) share() int64 { return b.memory / max(b.open.Load(), 1) }

// newBlock gives a block with one user.
func (b *blocks) newBlock(size int) *block {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	vacant := b.vacant[size]
	if len(vacant) == 0 {
		return &block{data: make([]byte, size), users: 1}
	}
	last := len(vacant) - 1
	taken := vacant[last]
	b.vacant[size] = vacant[:last]
	taken.users = 1
	return taken
}

func (b *blocks) free(unused *block) {
	size := len(unused.data)
	if !unused.kept {
		whenFree(unused.data, nil)
	}
	if unused.kept || size > stream.DefaultBlockSize { // the latter was made for a large packet
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

// slab is memory for copies of data, one behind the other. What is full goes when
// the last of its copies has gone.
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
	// blockBudget bounds the blocks that are being read into, in bytes: see
	// blockSize. What is larger goes out of the cache before it is merged.
	blockBudget  = 1 << 20
	minBlockSize = 4 << 10
	// packetSize is what a stream.Packet takes in memory, in bytes.
	packetSize = 40
)

// blockSize is how much an input reads at a time: less, the more are open. While
// few are, it is the default; the sum grows with the logarithm of their number
// from there on.
func blockSize(open int) int { return partOf(blockBudget, open) }

// partOf divides a budget among the open inputs, in powers of two.
func partOf(budget, open int) int {
	size := max(min(budget/(open+1), stream.DefaultBlockSize), minBlockSize)
	return 1 << (bits.Len(uint(size)) - 1)
}

// batchSize is how many packets are taken at a time out of blocks of a size.
func batchSize(blockSize int) int { return min(blockSize/64, maxBatch) }
