package merge

import (
	"io"
	"math"
	"slices"
	"sync/atomic"

	"pcap-replay/stream"
)

// Runs keeps the packets of streams until they can be merged: in memory up to a limit, and
// the rest in unnamed files, which are compressed with lz4 if the disk is slow. Add is not
// safe for concurrent use.
type Runs struct {
	memory int64
	window int64
	again  bool
	spill  *spill
	blocks *blocks // into which the stream is read

	count        int          // of runs
	begun        atomic.Int64 // the same, for other goroutines
	added, taken atomic.Int64 // packets
	used         int64        // of memory
	slab         slab         // for packets that are a small part of their block
}

// NewRuns returns Runs that keep up to memory bytes in memory and the rest in files in
// folder. The files lose their names when they have been created, so they disappear with the
// process. Packets that are out of order by up to window nanoseconds are sorted. With again,
// runs can be read more than once and stay until Close.
func NewRuns(memory int64, folder string, window int64, again bool) *Runs {
	return &Runs{memory: memory, window: window, again: again, spill: newSpill(folder), blocks: newBlocks(streamMemory)}
}

// ReadAgain makes all runs stay until Close, so that they can be read more than once.
func (r *Runs) ReadAgain() { r.again = true }

// streamMemory is the number of bytes that a stream is read ahead.
const streamMemory = 8 << 20

// Spilled is the number of bytes that have been written to files. It is safe for concurrent
// use.
func (r *Runs) Spilled() int64 { return r.spill.written() }

// Held is the number of packets that Add has read and no merge has taken yet. It is safe
// for concurrent use.
func (r *Runs) Held() int64 { return max(r.added.Load()-r.taken.Load(), 0) }

// Begun is the number of sections with packets that Add has begun to read. It is safe for
// concurrent use.
func (r *Runs) Begun() int64 { return r.begun.Load() }

// Close frees the files.
func (r *Runs) Close() error { return r.spill.close() }

// run is one section: packets in the order in which they came.
type run struct {
	runs     *Runs
	chunks   []chunk
	contents Contents
}

// chunk is a part of a run: in memory, or in a file.
type chunk struct {
	packets []stream.Packet
	spilled *spilledChunk
}

// streamBatch is the number of packets of a stream that are read at a time: a block of small
// packets.
const streamBatch = 2048

// chunkBudget limits the chunks from files that are in memory while runs are merged, in
// bytes.
const chunkBudget = 8 << 20

// recordSize is the size of the header of a packet in a block that is kept, in bytes.
const recordSize = 16

// Added describes a stream that was added.
type Added struct {
	// Inputs are its sections that have packets.
	Inputs []*Input
	// Sections is the number of all sections. LinkTypes are those of their headers.
	Sections  int
	LinkTypes []stream.LinkType
}

// Add reads src to its end and closes it. trouble is called with its errors, as in
// [Options].
func (r *Runs) Add(src io.ReadCloser, path, archive string, trouble func(error) error) (added Added, err error) {
	ahead := newLookahead(src, 0, r.blocks, stream.DefaultBlockSize, streamBatch)
	defer ahead.Close()
	var (
		current  *run
		section  int // of current, from 1
		disorder disorder
	)
	finish := func() {
		if current != nil {
			current.contents.Disorder = disorder.most
			added.Inputs = append(added.Inputs, current.input(path, archive))
		}
	}
	for {
		batch, err := ahead.Next()
		if len(batch) > 0 && ahead.given.section != section {
			finish()
			section = ahead.given.section
			current = r.newRun(&batch[0])
			disorder = newDisorder(r.window)
		}
		disorder.observe(batch)
		r.added.Add(int64(len(batch)))
		if err := r.append(current, batch, ahead); err != nil {
			return added, err
		}
		passable := err == nil || isDamage(err)
		if !passable {
			added.Sections, added.LinkTypes = ahead.reader.Sections(), ahead.reader.LinkTypes()
		}
		if err != nil && err != io.EOF {
			if err := trouble(err); err != nil {
				return added, err
			}
		}
		if !passable {
			finish()
			return added, r.spill.flush()
		}
	}
}

func (r *Runs) newRun(first *stream.Packet) *run {
	r.count++
	r.begun.Add(1)
	return &run{runs: r, contents: Contents{
		First: first.Time, Earliest: first.Time, LinkType: first.LinkType, HasLinkType: true,
	}}
}

// append appends a batch to a run, in pieces, because a chunk of each run is in memory while
// they are merged.
func (r *Runs) append(to *run, batch []stream.Packet, ahead *lookahead) error {
	limit := partOf(chunkBudget, r.count)
	for len(batch) > 0 {
		n, size := 0, 0
		for n < len(batch) && (n == 0 || size+len(batch[n].Data) <= limit) {
			size += packetSize + recordSize + len(batch[n].Data)
			to.contents.Earliest = min(to.contents.Earliest, batch[n].Time)
			n++
		}
		if err := r.appendChunk(to, batch[:n], size, ahead); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

func (r *Runs) appendChunk(to *run, packets []stream.Packet, size int, ahead *lookahead) error {
	if r.used+int64(size) <= r.memory {
		r.used += int64(size)
		packets = slices.Clone(packets)
		if !ahead.keepForever(size) {
			for i := range packets {
				packets[i].Data = r.slab.clone(packets[i].Data)
			}
		}
		to.chunks = append(to.chunks, chunk{packets: packets})
		return nil
	}
	block := ahead.keep()
	spilled, err := r.spill.add(packets, func() { ahead.release(block) })
	to.chunks = append(to.chunks, chunk{spilled: spilled})
	return err
}

func (r *run) input(path, archive string) *Input {
	return &Input{
		Start: r.contents.start(r.runs.window), End: math.MaxInt64, First: r.contents.First,
		LinkType: r.contents.LinkType, HasLinkType: true,
		origin: newOrigin(path, archive, func(*Input, int) (Reader, error) {
			return newReorderer(&runReader{run: r}, nil, r.runs.window, r.contents.Disorder), nil
		}),
	}
}

// runReader reads a run. While the merge uses one chunk, the next one is loaded.
type runReader struct {
	run     *run
	next    int         // number of the next chunk
	loading chan loaded // nil if no chunk is being loaded
	current *loadedChunk
	spare   *loadedChunk // its memory can be reused
}

type loaded struct {
	packets []stream.Packet
	chunk   *loadedChunk // the memory of the packets; nil if it is theirs alone
	err     error
}

// Next implements Reader.
func (r *runReader) Next() ([]stream.Packet, error) {
	if r.loading == nil {
		r.load()
	}
	if r.loading == nil {
		return nil, io.EOF
	}
	if r.current != nil {
		r.spare, r.current = r.current, nil
	}
	result := <-r.loading
	r.loading, r.current = nil, result.chunk
	r.run.runs.taken.Add(int64(len(result.packets)))
	if result.err == nil {
		r.load()
	}
	return result.packets, result.err
}

// load begins to load the next chunk, if there is one.
func (r *runReader) load() {
	if r.next == len(r.run.chunks) {
		return
	}
	c := &r.run.chunks[r.next]
	r.next++
	loading := make(chan loaded, 1)
	r.loading = loading
	if c.spilled == nil && !r.run.runs.again {
		loading <- loaded{packets: c.packets}
		c.packets = nil // frees the memory while the merge runs
		return
	}
	memory := r.spare
	r.spare = nil
	if memory == nil {
		memory = new(loadedChunk)
	}
	if c.spilled == nil { // the caller may write to the packets, so the next round needs the original
		loading <- loaded{packets: memory.clone(c.packets), chunk: memory}
		return
	}
	go func() {
		packets, err := r.run.runs.spill.read(c.spilled, memory)
		loading <- loaded{packets, memory, err}
	}()
}

// Close implements Reader.
func (r *runReader) Close() error {
	if r.loading != nil {
		<-r.loading
	}
	return nil
}
