package merge

import (
	"encoding/binary"
	"errors"
	"io"

	"pcap-replay/stream"
)

// Runs keeps packets that came in on a stream, until they can be merged: in
// memory up to a bound, and from there on in a file that nobody sees, compressed
// by lz4. Add is not safe for concurrent use.
type Runs struct {
	memory int64
	window int64
	again  bool
	spill  *spill
	blocks *blocks // the stream is read into

	count int // of runs
	block []byte
	used  int64 // of memory
}

// NewRuns keeps up to memory bytes in memory and the rest in a file in folder,
// which has no name once it has been created, so that it always goes with the
// process. Packets out of order within window nanoseconds are put in order. With
// again, runs can be read more than once and stay until Close.
func NewRuns(memory int64, folder string, window int64, again bool) *Runs {
	return &Runs{memory: memory, window: window, again: again, spill: newSpill(folder), blocks: newBlocks(streamMemory)}
}

// streamMemory is how far a stream is read ahead, in bytes.
const streamMemory = 8 << 20

// Spilled is how many bytes have been written to the file.
func (r *Runs) Spilled() int64 { return r.spill.size }

// Close frees the file.
func (r *Runs) Close() error { return r.spill.close() }

// run is one section: packets in the order in which they came.
type run struct {
	runs     *Runs
	chunks   []chunk
	contents Contents
}

// chunk is a piece of a run: in memory, or spilled.
type chunk struct {
	data    []byte
	spilled *spilledChunk
}

// runHeaderLength is what stands before each packet of a chunk: time, captured
// length, wire length, link type and whether it is untimed.
const runHeaderLength = 20

// Added is what a stream held.
type Added struct {
	// Inputs are its sections that have packets.
	Inputs []*Input
	// Sections counts all of them, LinkTypes are what their headers name.
	Sections  int
	LinkTypes []stream.LinkType
}

// Add reads src to its end and closes it. trouble is told what is wrong with it, as
// in [Options].
func (r *Runs) Add(src io.ReadCloser, path, archive string, trouble func(error) error) (added Added, err error) {
	ahead := newLookahead(src, 0, r.blocks, stream.DefaultBlockSize)
	defer ahead.Close()
	var (
		current  *run
		section  *stream.Section
		disorder disorder
	)
	finish := func() error {
		if current == nil {
			return nil
		}
		current.contents.Disorder = disorder.most
		added.Inputs = append(added.Inputs, current.input(path, archive))
		return r.seal(current)
	}
	for {
		batch, err := ahead.Next()
		if len(batch) > 0 && ahead.given.section != section {
			if err := finish(); err != nil {
				return added, err
			}
			section = ahead.given.section
			current = r.newRun(&batch[0])
			disorder = newDisorder(r.window)
		}
		disorder.observe(batch)
		for i := range batch {
			if err := r.append(current, &batch[i]); err != nil {
				return added, err
			}
		}
		var damage *stream.Damage
		passable := err == nil || errors.As(err, &damage)
		if !passable {
			added.Sections, added.LinkTypes = ahead.reader.Sections(), ahead.reader.LinkTypes()
		}
		if err != nil && err != io.EOF {
			if err := trouble(err); err != nil {
				return added, err
			}
		}
		if !passable {
			return added, errors.Join(finish(), r.spill.flush())
		}
	}
}

func (r *Runs) newRun(first *stream.Packet) *run {
	r.count++
	return &run{runs: r, contents: Contents{
		First: first.Time, Earliest: first.Time, LinkType: first.LinkType, HasLinkType: true,
	}}
}

// append puts a packet at the end of a run. The chunks of one run after another
// are cut from the same block.
func (r *Runs) append(to *run, packet *stream.Packet) error {
	to.contents.Earliest = min(to.contents.Earliest, packet.Time)
	size := runHeaderLength + len(packet.Data)
	if size > cap(r.block)-len(r.block) {
		if err := r.seal(to); err != nil {
			return err
		}
		if size > cap(r.block) {
			// Of spilled runs, a chunk each is in memory while they are merged.
			r.block = make([]byte, 0, max(blockSize(r.count), size))
		}
	}
	flags := uint16(0)
	if packet.Untimed {
		flags = 1
	}
	order := binary.NativeEndian
	r.block = order.AppendUint64(r.block, uint64(packet.Time))
	r.block = order.AppendUint32(r.block, uint32(len(packet.Data)))
	r.block = order.AppendUint32(r.block, packet.WireLength)
	r.block = order.AppendUint16(r.block, uint16(packet.LinkType))
	r.block = order.AppendUint16(r.block, flags)
	r.block = append(r.block, packet.Data...)
	return nil
}

// seal ends a chunk.
func (r *Runs) seal(of *run) error {
	size := len(r.block)
	if size == 0 {
		return nil
	}
	if r.used+int64(size) <= r.memory {
		r.used += int64(size)
		of.chunks = append(of.chunks, chunk{data: r.block[:size:size]})
		r.block = r.block[size:]
		return nil
	}
	spilled, block, err := r.spill.add(r.block)
	of.chunks = append(of.chunks, chunk{spilled: spilled})
	if r.block = block; cap(block) < blockSize(r.count) {
		r.block = nil // the end of a block that is in memory was too small to go on with
	}
	return err
}

func (r *run) input(path, archive string) *Input {
	return &Input{
		Path: path, Archive: archive, Start: r.contents.start(r.runs.window),
		LinkType: r.contents.LinkType, HasLinkType: true,
		Open: func(int) (Reader, error) {
			return newReorderer(&runReader{run: r}, nil, r.runs.window, r.contents.Disorder), nil
		},
	}
}

// runReader reads a run. While the merge works on one chunk, the next is loaded.
type runReader struct {
	run    *run
	next   int // chunk
	unread []byte
	batch  []stream.Packet

	loading chan loaded // nil where no chunk is being loaded
	current loaded
	spare   []byte // the memory of a spilled chunk that has been read
}

type loaded struct {
	data    []byte
	spilled bool // into memory of the reader's own
	err     error
}

// Next implements Reader.
func (r *runReader) Next() (batch []stream.Packet, err error) {
	if len(r.unread) == 0 {
		if r.unread, err = r.nextChunk(); err != nil {
			return nil, err
		}
	}
	order := binary.NativeEndian
	batch, unread := r.batch[:0], r.unread
	for len(batch) < maxBatch && len(unread) > 0 {
		end := runHeaderLength + int(order.Uint32(unread[8:]))
		batch = append(batch, stream.Packet{
			Time: int64(order.Uint64(unread)), Data: unread[runHeaderLength:end:end], WireLength: order.Uint32(unread[12:]),
			LinkType: stream.LinkType(order.Uint16(unread[16:])), Untimed: order.Uint16(unread[18:]) != 0,
		})
		unread = unread[end:]
	}
	r.batch, r.unread = batch, unread
	return batch, nil
}

// nextChunk gives the data of the next chunk, valid until the one after it.
func (r *runReader) nextChunk() ([]byte, error) {
	if r.loading == nil {
		r.load()
	}
	if r.loading == nil {
		return nil, io.EOF
	}
	if r.current.spilled {
		r.spare = r.current.data
	}
	r.current = <-r.loading
	r.loading = nil
	if r.current.err == nil {
		r.load()
	}
	return r.current.data, r.current.err
}

// load begins to load the next chunk, if there is one.
func (r *runReader) load() {
	if r.next == len(r.run.chunks) {
		return
	}
	c := &r.run.chunks[r.next]
	r.next++
	r.loading = make(chan loaded, 1)
	if c.spilled != nil {
		go func(loading chan loaded, memory []byte) {
			data, err := r.run.runs.spill.read(c.spilled, memory)
			loading <- loaded{data, true, err}
		}(r.loading, r.spare)
		r.spare = nil
		return
	}
	r.loading <- loaded{data: c.data}
	if !r.run.runs.again {
		c.data = nil // the memory goes as the merge goes on
	}
}

// Close implements Reader.
func (r *runReader) Close() error {
	if r.loading != nil {
		<-r.loading
	}
	return nil
}
