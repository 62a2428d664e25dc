package merge

import (
	"io"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"pcap-replay/internal/files"
	"pcap-replay/stream"
)

// lookahead reads an input ahead of the merge, in a goroutine of its own. Before
// a packet is given out it has seen the input a window further, so that it is
// known how far out of order packets are there: an input in order, which nearly
// all are, passes through without being copied or sorted. Reading and
// decompressing go on meanwhile.
//
// What has been read ahead is kept in blocks. Where the share of memory of an
// input does not hold a window of it, the window is as much as it holds. A file that
// can be read twice at no great cost is prescanned instead, where that
// is more than a few blocks: they go out of the processor's cache and come back, which
// takes longer than to read them again.
type lookahead struct {
	window    int64
	file      *files.PooledFile // to be closed in the end; nil where the goroutine closes the source
	blocks    *blocks
	blockSize int
	batchSize int
	eager     bool // reads as much as memory holds: the file may be gone later

	mutex    sync.Mutex
	changed  sync.Cond
	disorder disorder
	prescan  *prescan // nil while there is none
	unsure   bool     // whether there is to be one
	wanted   position // how far the merge wants to have been looked ahead
	used     int64    // bytes of blocks and batches
	stopped  bool     // the merge needs no more
	ended    bool     // the input has been read to its end
	queue    []readAhead
	given    readAhead // what the merge has in use
	finished chan struct{}
	ready    atomic.Bool // Next does not wait

	reader   *stream.Reader
	current  *block // being read into
	previous *block // from which the reader moves what it has not given out; or nil
}

// readAhead is what one Read gave.
type readAhead struct {
	packets  []stream.Packet
	batch    []stream.Packet // packets' memory
	block    *block
	section  int // the number of the section, from 1
	err      error
	position       // behind the packets
	end      int64 // offset in the stream
}

const (
	// minAhead is how many blocks are read ahead in any case, so that reading and
	// merging go on side by side.
	minAhead = 4
	// mostHeld is how many bytes, and blocksHeld how many blocks, are held at most to see
	// a window, before a prescan does.
	mostHeld   = 2 << 20
	blocksHeld = 32
	// blocksBeyond is how many blocks are read beyond the window: with one, both sides
	// wait for each other at every batch, and merge at 60 % of the speed.
	blocksBeyond = 2
)

// newLookahead reads src, which it closes in the end.
func newLookahead(src io.ReadCloser, window int64, blocks *blocks, blockSize, batchSize int) *lookahead {
	l := prepareLookahead(window, blocks, blockSize, batchSize)
	go l.run(src)
	return l
}

// newTailLookahead reads a file that grows, which it closes in the end.
func newTailLookahead(src *tail, blocks *blocks, blockSize int) *lookahead {
	l := prepareLookahead(0, blocks, blockSize, batchSize(blockSize))
	l.eager = true
	go l.run(src)
	return l
}

// newFileLookahead reads a file that may be read twice, which it closes in the end.
func newFileLookahead(file *files.PooledFile, window int64, blocks *blocks, blockSize, batchSize int) *lookahead {
	l := prepareLookahead(window, blocks, blockSize, batchSize)
	l.file, l.unsure = file, true
	go l.run(io.NopCloser(file))
	return l
}

func prepareLookahead(window int64, blocks *blocks, blockSize, batchSize int) *lookahead {
	l := &lookahead{
		window: window, blocks: blocks, blockSize: blockSize, batchSize: batchSize,
		disorder: newDisorder(window), wanted: beginning, finished: make(chan struct{}),
	}
	l.changed.L = &l.mutex
	blocks.open.Add(1)
	return l
}

func (l *lookahead) run(src io.ReadCloser) {
	defer close(l.finished)
	defer src.Close()
	l.reader = stream.NewBlockReader(src, l.newBlock)
	l.reader.LeaveOutFCS()
	defer l.reader.Close()
	for l.isWanted() {
		batch := l.blocks.newBatch(l.batchSize)
		n, err := l.reader.Read(batch)
		l.add(readAhead{packets: batch[:n], batch: batch, section: l.reader.Sections(), err: err, end: l.reader.Offset()})
	}
}

// newBlock gives the reader a block, which it will use from now on.
func (l *lookahead) newBlock(size int) []byte {
	b := l.blocks.newBlock(max(size, l.blockSize))
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.dropPrevious()
	l.hold(len(b.data))
	l.previous, l.current = l.current, b
	return b.data
}

// dropPrevious lets go of the block before the current one, from which everything has
// been moved.
func (l *lookahead) dropPrevious() {
	if l.previous != nil {
		l.drop(l.previous)
		l.previous = nil
	}
}

// hold counts memory that is taken or, below 0, let go of.
func (l *lookahead) hold(bytes int) {
	l.used += int64(bytes)
	l.blocks.used.Add(int64(bytes))
}

// drop lets go of a block: once for being read into, and once for each batch.
func (l *lookahead) drop(b *block) {
	if b.users--; b.users == 0 {
		l.hold(-len(b.data))
		l.blocks.free(b)
	}
}

func (l *lookahead) add(read readAhead) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.dropPrevious()
	l.disorder.observe(read.packets)
	read.position = l.disorder.position
	read.block = l.current
	read.block.users++
	l.hold(packetSize * len(read.batch))
	l.queue = append(l.queue, read)
	l.ended = read.err != nil && !isDamage(read.err)
	l.ready.Store(true)
	if l.wanted == beginning && len(read.packets) > 0 {
		l.wanted = read.plus(l.window) // as settle will say for this batch
	}
	if l.wanted != beginning && !l.disorder.isBefore(l.wanted) {
		l.unsure = false // a window is little enough
	}
	l.changed.Broadcast()
}

// isWanted waits until the input has to be read on, and says whether it has.
func (l *lookahead) isWanted() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for !l.ended && !l.stopped {
		if l.unsure && (l.used >= int64(min(mostHeld, blocksHeld*l.blockSize)) || l.isFull()) {
			l.startPrescan()
		}
		if !l.isAhead() {
			return true
		}
		l.changed.Broadcast() // settle may wait for more while another input has taken the memory
		l.changed.Wait()
	}
	return false
}

// startPrescan makes a prescan read the window from now on.
func (l *lookahead) startPrescan() {
	l.prescan, l.unsure = newPrescan(l.file, l.window, l.blockSize), false
	l.window, l.wanted = 0, beginning
	if len(l.queue) > 0 {
		l.wanted = l.queue[0].position
	}
	l.changed.Broadcast()
}

// isAhead says that there is no need to read on, or no memory.
func (l *lookahead) isAhead() bool {
	if len(l.queue) == 0 {
		return false
	}
	return l.isFull() || !l.eager && l.used >= l.least() && l.beyond() >= int64(blocksBeyond*l.blockSize)
}

// least is how much is read ahead in any case, in bytes.
func (l *lookahead) least() int64 { return int64(minAhead * l.blockSize) }

// beyond is how many bytes have been read behind what was wanted.
func (l *lookahead) beyond() int64 {
	at := sort.Search(len(l.queue), func(i int) bool { return !l.queue[i].isBefore(l.wanted) })
	if at == len(l.queue) {
		return 0
	}
	return l.queue[len(l.queue)-1].end - l.queue[at].end
}

// isFull says that the input holds its share of the memory, or that the inputs that
// were open before it still hold theirs of when they were fewer.
func (l *lookahead) isFull() bool {
	return l.used >= l.blocks.share() || l.used >= l.least() && l.blocks.used.Load() >= l.blocks.memory
}

// settle waits until the input has been seen a window beyond the batch given last,
// and gives the largest disorder found.
func (l *lookahead) settle() int64 {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.wanted = furthest(l.wanted, l.given.plus(l.window))
	for l.prescan == nil && !l.ended && l.disorder.isBefore(l.wanted) && (len(l.queue) == 0 || l.unsure || !l.isFull()) {
		l.changed.Broadcast()
		l.changed.Wait()
	}
	if prescan := l.prescan; prescan != nil {
		l.mutex.Unlock()
		most := prescan.settle(l.given.position, l.given.end)
		l.mutex.Lock()
		return max(most, l.disorder.most) // a prescan that failed has not seen all
	}
	return l.disorder.most
}

// Next implements Reader. It does not wait for the window: see settle.
func (l *lookahead) Next() ([]stream.Packet, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.given.block != nil {
		l.free(l.given)
		l.given = readAhead{}
		l.changed.Broadcast()
	}
	for len(l.queue) == 0 {
		if l.ended {
			return nil, io.EOF
		}
		l.changed.Wait()
	}
	l.given = l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1) // keeps its memory
	l.ready.Store(len(l.queue) > 0 || l.ended)
	return l.given.packets, l.given.err
}

// keep has the data of the batch given last stay valid until release.
func (l *lookahead) keep() *block {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.given.block.users++
	return l.given.block
}

// keepForever is keep without release, for size bytes of the batch. It refuses where
// they are a small part of the block, all of which would stay.
func (l *lookahead) keepForever(size int) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	block := l.given.block
	block.kept = block.kept || 2*size >= len(block.data)
	return block.kept
}

func (l *lookahead) release(b *block) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.drop(b)
	l.changed.Broadcast()
}

// isReady says that Next does not wait. It takes no lock: a Follower asks all its files.
func (l *lookahead) isReady() bool { return l.ready.Load() }

// free lets go of what has been given out.
func (l *lookahead) free(read readAhead) {
	l.hold(-packetSize * len(read.batch))
	l.blocks.freeBatch(read.batch)
	l.drop(read.block)
}

// Close ends the goroutine.
func (l *lookahead) Close() error {
	l.mutex.Lock()
	l.stopped = true
	l.changed.Broadcast()
	l.mutex.Unlock()
	<-l.finished
	if l.prescan != nil {
		l.prescan.close()
	}
	if l.file != nil {
		l.file.Close()
	}
	l.mutex.Lock()
	defer l.mutex.Unlock() // what keep has kept may be released meanwhile
	if l.given.block != nil {
		l.free(l.given)
	}
	for _, read := range l.queue {
		l.free(read)
	}
	l.dropPrevious()
	if l.current != nil {
		l.drop(l.current)
	}
	l.queue, l.given, l.current = nil, readAhead{}, nil
	l.blocks.open.Add(-1)
	return nil
}
