package merge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pierrec/lz4/v4"

	"pcap-replay/stream"
)

// Runs keeps packets that came in on a stream, until they can be merged: in
// memory up to a bound, and from there on in a file that nobody sees, compressed
// by lz4.
type Runs struct {
	memory int64
	folder string
	window int64
	again  bool

	count      int // of runs
	block      []byte
	used       int64 // of memory
	spill      *os.File
	spilled    int64
	compressor lz4.Compressor
	compressed []byte
}

// NewRuns keeps up to memory bytes in memory and the rest in a file in folder,
// which has no name once it has been created, so that it always goes with the
// process. Packets out of order within window nanoseconds are put in order. With
// again, runs can be read more than once and stay until Close.
func NewRuns(memory int64, folder string, window int64, again bool) *Runs {
	return &Runs{memory: memory, folder: folder, window: window, again: again}
}

// Spilled is how many bytes have been written to the file.
func (r *Runs) Spilled() int64 { return r.spilled }

// Close frees the file.
func (r *Runs) Close() error {
	if r.spill == nil {
		return nil
	}
	return r.spill.Close()
}

// run is one section: packets in the order in which they came.
type run struct {
	runs     *Runs
	chunks   []chunk
	contents Contents
}

// chunk is a piece of a run.
type chunk struct {
	data   []byte // nil where it is in the file
	offset int64  // in the file
	stored int    // bytes there
	size   int    // bytes of data; where as many are stored, they are not compressed
}

// runHeaderLength is what stands before each packet of a chunk: time, captured
// length, wire length, link type and whether it is untimed.
const runHeaderLength = 20

// Add reads src to its end and makes an input of each of its sections that has
// packets. trouble is told what is wrong with src, as in [Options].
func (r *Runs) Add(src Sections, path, archive string, trouble func(error) error) ([]*Input, error) {
	var (
		inputs   []*Input
		current  *run
		section  *stream.Section
		disorder disorder
		batch    = make([]stream.Packet, maxBatch)
	)
	finish := func() error {
		if current == nil {
			return nil
		}
		current.contents.Disorder = disorder.most
		inputs = append(inputs, current.input(path, archive))
		return r.seal(current)
	}
	for {
		n, err := src.Read(batch)
		if n > 0 && src.Section() != section {
			if err := finish(); err != nil {
				return nil, err
			}
			section = src.Section()
			current = r.newRun(&batch[0])
			disorder = newDisorder(r.window)
		}
		disorder.observe(batch[:n])
		for i := range batch[:n] {
			if err := r.append(current, &batch[i]); err != nil {
				return nil, err
			}
		}
		var damage *stream.Damage
		passable := err == nil || errors.As(err, &damage)
		if err != nil && err != io.EOF {
			if err := trouble(err); err != nil {
				return nil, err
			}
		}
		if !passable {
			return inputs, finish()
		}
	}
}

// Sections is a stream that knows where a section begins: a [*stream.Reader].
type Sections interface {
	Read(dst []stream.Packet) (n int, err error)
	Section() *stream.Section
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
	if r.used+int64(size) > r.memory {
		c, err := r.spillChunk()
		if err != nil {
			return err
		}
		of.chunks = append(of.chunks, c)
		if r.block = r.block[:0]; cap(r.block) < blockSize(r.count) {
			r.block = nil // the end of a block that is in memory, too small to go on with
		}
		return nil
	}
	r.used += int64(size)
	of.chunks = append(of.chunks, chunk{data: r.block[:size:size], size: size})
	r.block = r.block[size:]
	return nil
}

// spillChunk writes the block to the file.
func (r *Runs) spillChunk() (chunk, error) {
	if r.spill == nil {
		file, err := createUnnamed(r.folder)
		if err != nil {
			return chunk{}, fmt.Errorf("spill: %w", err)
		}
		r.spill = file
	}
	size := len(r.block)
	if bound := lz4.CompressBlockBound(size); len(r.compressed) < bound {
		r.compressed = make([]byte, bound)
	}
	stored, err := r.compressor.CompressBlock(r.block, r.compressed)
	data := r.compressed[:stored]
	if err != nil || stored == 0 || stored >= size { // 0: it cannot be compressed
		data = r.block
	}
	if _, err := r.spill.WriteAt(data, r.spilled); err != nil {
		return chunk{}, fmt.Errorf("spill: %w", err)
	}
	c := chunk{offset: r.spilled, stored: len(data), size: size}
	r.spilled += int64(len(data))
	return c, nil
}

// createUnnamed creates a file and takes its name away.
func createUnnamed(folder string) (*os.File, error) {
	file, err := os.CreateTemp(folder, "pcap-merge-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (r *run) input(path, archive string) *Input {
	return &Input{
		Path: path, Archive: archive, Start: r.contents.start(r.runs.window),
		LinkType: r.contents.LinkType, HasLinkType: true,
		Open: func(int) (Reader, error) {
			return newReorderer(&runReader{run: r}, nil, r.contents.Disorder), nil
		},
	}
}

// runReader reads a run.
type runReader struct {
	run        *run
	next       int // chunk
	unread     []byte
	batch      []stream.Packet
	compressed []byte
	plain      []byte
}

// Next implements Reader.
func (r *runReader) Next() (batch []stream.Packet, err error) {
	if len(r.unread) == 0 {
		if r.next == len(r.run.chunks) {
			return nil, io.EOF
		}
		if r.unread, err = r.load(&r.run.chunks[r.next]); err != nil {
			return nil, err
		}
		r.next++
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

// load gives the data of a chunk, valid until the next one.
func (r *runReader) load(c *chunk) ([]byte, error) {
	if c.data != nil {
		data := c.data
		if !r.run.runs.again {
			c.data = nil // the memory goes as the merge goes on
		}
		return data, nil
	}
	r.plain = sized(r.plain, c.size)
	if c.stored == c.size {
		_, err := r.run.runs.spill.ReadAt(r.plain, c.offset)
		return r.plain, spillError(err)
	}
	r.compressed = sized(r.compressed, c.stored)
	if _, err := r.run.runs.spill.ReadAt(r.compressed, c.offset); err != nil {
		return nil, spillError(err)
	}
	n, err := lz4.UncompressBlock(r.compressed, r.plain)
	if err == nil && n != c.size {
		err = fmt.Errorf("wanted %d bytes, got %d", c.size, n)
	}
	return r.plain, spillError(err)
}

func spillError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read spilled packets: %w", err)
}

// sized gives a buffer of size bytes, the one at hand if it is large enough.
func sized(buffer []byte, size int) []byte {
	if cap(buffer) < size {
		return make([]byte, size)
	}
	return buffer[:size]
}

// Close implements Reader.
func (r *runReader) Close() error { return nil }
