package merge

import (
	"errors"
	"io"
	"math"
	"sync"
	"sync/atomic"

	"pcap-replay/stream"
)

// lookahead reads an input ahead of the merge, in a goroutine of its own. Before
// a packet is given out it has seen the input a window further, so that it is
// known how far out of order packets are there. An input in order, which nearly
// all are, then passes through without being held or copied.
//
// A plain file is read twice, a window apart: by a scout, which looks at times
// only, and by the merge, which finds the blocks in the page cache. That costs no
// memory however much traffic a window holds. What must be decompressed is read
// once, and kept.
type lookahead struct {
	window int64
	keep   bool
	budget *budget

	mutex    sync.Mutex
	changed  sync.Cond
	disorder disorder
	wanted   int64 // how far the merge wants to have been looked ahead
	idle     bool  // the goroutine waits to be wanted
	ended    bool  // the input has been seen to its end
	stopped  bool  // the merge needs no more
	queue    []keptBatch
	finished chan struct{}
}

// keptBatch is what one Read gave, in memory of its own.
type keptBatch struct {
	packets []stream.Packet
	size    int64
	err     error
}

// budget bounds the memory of what all lookaheads keep.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) exhausted() bool { return b.used.Load() >= b.limit }

// newLookahead starts to read src, which it closes in the end.
func newLookahead(src Reader, window int64, batch int, keep bool, memory *budget) *lookahead {
	l := &lookahead{
		window: window, keep: keep, budget: memory,
		disorder: newDisorder(window), wanted: math.MinInt64, finished: make(chan struct{}),
	}
	l.changed.L = &l.mutex
	go l.run(src, make([]stream.Packet, batch))
	return l
}

func (l *lookahead) run(src Reader, batch []stream.Packet) {
	defer close(l.finished)
	defer src.Close()
	for l.isWanted() {
		n, err := src.Read(batch)
		var kept keptBatch
		if l.keep {
			kept = keepBatch(batch[:n], err)
		}
		var damage *stream.Damage
		l.mutex.Lock()
		l.disorder.observe(batch[:n])
		if l.keep && !l.stopped {
			l.budget.used.Add(kept.size)
			l.queue = append(l.queue, kept)
		}
		l.ended = err != nil && !errors.As(err, &damage)
		l.changed.Broadcast()
		l.mutex.Unlock()
	}
}

// minQueue is how many batches are kept ready in any case: decompression works
// while the merge writes.
const minQueue = 4

// isWanted waits until the input has to be read on, and says whether it has.
func (l *lookahead) isWanted() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for !l.ended && !l.stopped && !l.isBehind(l.window) {
		l.idle = true
		l.changed.Broadcast()
		l.changed.Wait()
	}
	l.idle = false
	return !l.ended && !l.stopped
}

// isBehind says whether to read on: until it has been seen that much further
// than it is wanted, as long as there is memory.
func (l *lookahead) isBehind(further int64) bool {
	if l.keep {
		if len(l.queue) == 0 {
			return true
		}
		if l.budget.exhausted() {
			return false
		}
		return l.disorder.latest < l.wanted || len(l.queue) < minQueue
	}
	return l.disorder.latest < after(l.wanted, further)
}

// settle waits until the input has been seen a window beyond latest, and gives
// the largest disorder found.
func (l *lookahead) settle(latest int64) int64 {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.wanted = max(l.wanted, after(latest, l.window))
	for {
		// Half a window of slack spares both sides from waking each other with
		// every batch.
		if l.idle && l.isBehind(l.window/2) {
			l.changed.Broadcast()
		}
		if l.ended || l.disorder.latest >= l.wanted || l.keep && len(l.queue) > 0 && l.budget.exhausted() {
			return l.disorder.most
		}
		l.changed.Wait()
	}
}

// Read gives what is kept. The window is not waited for here.
func (l *lookahead) Read(dst []stream.Packet) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for len(l.queue) == 0 {
		if l.ended {
			return 0, io.EOF
		}
		l.changed.Broadcast()
		l.changed.Wait()
	}
	kept := &l.queue[0]
	n := copy(dst, kept.packets)
	if kept.packets = kept.packets[n:]; len(kept.packets) > 0 {
		return n, nil
	}
	err := kept.err
	l.budget.used.Add(-kept.size)
	*kept = keptBatch{}
	l.queue = l.queue[1:]
	if l.idle {
		l.changed.Broadcast()
	}
	return n, err
}

// Close ends the goroutine.
func (l *lookahead) Close() error {
	l.mutex.Lock()
	l.stopped = true
	for _, kept := range l.queue {
		l.budget.used.Add(-kept.size)
	}
	l.queue = nil
	l.changed.Broadcast()
	l.mutex.Unlock()
	<-l.finished
	return nil
}

// keepBatch copies packets with their data.
func keepBatch(packets []stream.Packet, err error) keptBatch {
	size := 0
	for i := range packets {
		size += len(packets[i].Data)
	}
	kept := keptBatch{packets: make([]stream.Packet, len(packets)), err: err}
	copy(kept.packets, packets)
	slab := make([]byte, 0, size)
	for i := range kept.packets {
		start := len(slab)
		slab = append(slab, kept.packets[i].Data...)
		kept.packets[i].Data = slab[start:len(slab):len(slab)]
	}
	const packetSize = 40
	kept.size = int64(size + packetSize*len(packets))
	return kept
}
