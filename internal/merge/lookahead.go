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

// lookahead reads an input ahead of the merge, in its own goroutine. Before it returns a
// packet, it has read the input a window further, so the disorder of the packets in the
// window is known. Nearly all inputs are in order, and their packets are neither copied nor
// sorted. The input is read and decompressed in the background.
//
// The data that was read ahead stays in blocks. If the memory share of an input is smaller
// than a window, the window is as large as the share. If a window takes more than a few
// blocks, a file that can be read twice at low cost is prescanned instead: the blocks would
// leave the CPU cache and come back, which takes longer than reading them again.
type lookahead struct {
	window    int64
	file      *files.PooledFile // closed at the end; nil if the goroutine closes the source
	blocks    *blocks
	blockSize int
	batchSize int
	eager     bool // reads as much as fits into memory, because the file may be gone later

	mutex    sync.Mutex
	changed  sync.Cond
	disorder disorder
	prescan  *prescan // nil if there is none
	unsure   bool     // it is not decided yet whether there will be one
	wanted   position // how far the merge wants the input to have been read
	used     int64    // bytes of blocks and batches
	stopped  bool     // the merge needs no more
	ended    bool     // the input has been read to its end
	queue    []readAhead
	given    readAhead // what the merge uses now
	finished chan struct{}
	ready    atomic.Bool // Next will not wait

	reader   *stream.Reader
	current  *block // the reader reads into it
	previous *block // from which the reader moves data that it has not returned; or nil
}

// readAhead is the result of one Read.
type readAhead struct {
	packets  []stream.Packet
	batch    []stream.Packet // memory of packets
	block    *block
	section  int // the number of the section, from 1
	err      error
	position       // after the packets
	end      int64 // offset in the stream
}

const (
	// minAhead is the least number of blocks that are read ahead, so that reading and
	// merging run at the same time.
	minAhead = 4
	// mostHeld is the largest number of bytes, and blocksHeld that of blocks, which are
	// held to see a window. If the window takes more, a prescan reads it.
	mostHeld   = 2 << 20
	blocksHeld = 32
	// blocksBeyond is the number of blocks that are read beyond the window. With one,
	// both sides wait for each other at every batch, and the speed of the merge is 60 %.
	blocksBeyond = 2
)

// newLookahead reads src, and closes it at the end.
func newLookahead(src io.ReadCloser, window int64, blocks *blocks, blockSize, batchSize int) *lookahead {
	l := prepareLookahead(window, blocks, blockSize, batchSize)
	go l.run(src)
	return l
}

// newTailLookahead reads a growing file, and closes it at the end.
func newTailLookahead(src *tail, blocks *blocks, blockSize int) *lookahead {
	l := prepareLookahead(0, blocks, blockSize, batchSize(blockSize))
	l.eager = true
	go l.run(src)
	return l
}

// newFileLookahead reads a file that may be read twice, and closes it at the end.
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

// newBlock gives the reader a block, which it uses from now on.
func (l *lookahead) newBlock(size int) []byte {
	b := l.blocks.newBlock(max(size, l.blockSize))
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.dropPrevious()
	l.hold(len(b.data))
	l.previous, l.current = l.current, b
	return b.data
}

// dropPrevious drops the block before the current one, from which all data has been moved.
func (l *lookahead) dropPrevious() {
	if l.previous != nil {
		l.drop(l.previous)
		l.previous = nil
	}
}

// hold counts memory that is taken, or freed if bytes is below 0.
func (l *lookahead) hold(bytes int) {
	l.used += int64(bytes)
	l.blocks.used.Add(int64(bytes))
}

// drop ends one use of a block: that of the reader, or that of a batch.
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
		l.wanted = read.plus(l.window) // as settle will do for this batch
	}
	if l.wanted != beginning && !l.disorder.isBefore(l.wanted) {
		l.unsure = false // a window is small enough
	}
	l.changed.Broadcast()
}

// isWanted waits until more of the input is needed. It returns false if no more is needed.
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
		l.changed.Broadcast() // settle may wait for data for which another input has the memory
		l.changed.Wait()
	}
	return false
}

// startPrescan starts a prescan, which reads the window from now on.
func (l *lookahead) startPrescan() {
	l.prescan, l.unsure = newPrescan(l.file, l.window, l.blockSize), false
	l.window, l.wanted = 0, beginning
	if len(l.queue) > 0 {
		l.wanted = l.queue[0].position
	}
	l.changed.Broadcast()
}

// isAhead reports whether no more data is needed now, or there is no memory for it.
func (l *lookahead) isAhead() bool {
	if len(l.queue) == 0 {
		return false
	}
	return l.isFull() || !l.eager && l.used >= l.least() && l.beyond() >= int64(blocksBeyond*l.blockSize)
}

// least is the number of bytes that are read ahead in any case.
func (l *lookahead) least() int64 { return int64(minAhead * l.blockSize) }

// beyond is the number of bytes that have been read beyond the wanted position.
func (l *lookahead) beyond() int64 {
	at := sort.Search(len(l.queue), func(i int) bool { return !l.queue[i].isBefore(l.wanted) })
	if at == len(l.queue) {
		return 0
	}
	return l.queue[len(l.queue)-1].end - l.queue[at].end
}

// isFull reports whether the input has used its share of the memory, or whether inputs that
// were opened before it still hold larger shares, of the time when there were fewer inputs.
func (l *lookahead) isFull() bool {
	return l.used >= l.blocks.share() || l.used >= l.least() && l.blocks.used.Load() >= l.blocks.memory
}

// settle waits until the input has been read a window beyond the last batch that was
// returned, and returns the largest disorder found.
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
		return max(most, l.disorder.most) // a prescan that failed has not read everything
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
	l.queue = slices.Delete(l.queue, 0, 1) // keeps the memory of the queue
	l.ready.Store(len(l.queue) > 0 || l.ended)
	return l.given.packets, l.given.err
}

// keep keeps the data of the last batch that was returned valid until release.
func (l *lookahead) keep() *block {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.given.block.users++
	return l.given.block
}

// keepForever is keep without release, for size bytes of the batch. It returns false if they
// are a small part of the block, because all of the block would stay in memory.
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

// isReady reports whether Next will not wait. It takes no lock, because a Follower asks all
// its files.
func (l *lookahead) isReady() bool { return l.ready.Load() }

// free drops the blocks of the batch that was returned.
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
	defer l.mutex.Unlock() // release may run at the same time
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
