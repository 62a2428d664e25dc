package merge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pierrec/lz4/v4"

	"pcap-replay/internal/files"
	"pcap-replay/stream"
)

// spill stores in unnamed files what does not fit into memory. Chunks are compressed and
// written in the background. Each writer has its own file, because the kernel lets only one
// thread write to a file at a time.
//
// Chunks are compressed if this is faster. Compression takes 1 to 4 ns of a core for each
// byte. This pays off with a slow disk, but not with the page cache.
type spill struct {
	folder string
	idle   chan *spillWriter
	writes sync.WaitGroup

	mutex sync.Mutex
	err   error // the first
	size  int64 // of all files
	// writeCost is the recent time to write a byte, in nanoseconds.
	writeCost float64

	stored sync.Pool // of *[]byte: chunks as they are in the file
}

// spilledChunk is the place of a chunk in a file. It is valid after flush.
type spilledChunk struct {
	packets int
	size    int // bytes
	file    *files.Temporary
	offset  int64
	stored  int // bytes in the file; if equal to size, they are not compressed
}

// spillWriter writes one chunk at a time.
type spillWriter struct {
	file              *files.Temporary // nil before the first
	size              int64
	compressor        lz4.Compressor
	packets           []stream.Packet
	plain, compressed []byte
}

// loadedChunk is the memory of a chunk that is read.
type loadedChunk struct {
	plain   []byte
	packets []stream.Packet
}

// clone copies packets and their data into the memory.
func (c *loadedChunk) clone(packets []stream.Packet) []stream.Packet {
	c.plain = c.plain[:0]
	c.packets = append(c.packets[:0], packets...)
	for i := range c.packets {
		start := len(c.plain)
		c.plain = append(c.plain, packets[i].Data...) // earlier packets keep the memory that they have
		c.packets[i].Data = c.plain[start:len(c.plain):len(c.plain)]
	}
	return c.packets
}

// spillWriters is the number of chunks that are compressed and written at the same time.
const spillWriters = 2

const (
	// slowWrite is the cost in nanoseconds per byte from which chunks are compressed.
	slowWrite = 3
	// writeCostSpan is the number of writes over which the cost is averaged. A few writes
	// wait for a core, and take a hundred times as long.
	writeCostSpan = 128
)

func newSpill(folder string) *spill {
	s := &spill{folder: folder, idle: make(chan *spillWriter, spillWriters)}
	for range spillWriters {
		s.idle <- &spillWriter{}
	}
	return s
}

// add writes packets in the background. They are written when flush has returned. Their data
// must be valid until release is called.
func (s *spill) add(packets []stream.Packet, release func()) (*spilledChunk, error) {
	w := <-s.idle
	if err := s.prepare(w); err != nil {
		s.idle <- w
		release()
		return nil, err
	}
	w.packets = append(w.packets[:0], packets...)
	chunk := &spilledChunk{packets: len(packets)}
	s.writes.Go(func() {
		w.plain = appendPackets(w.plain[:0], w.packets)
		release()
		s.write(w, chunk)
		s.idle <- w
	})
	return chunk, nil
}

// prepare creates the file of a writer if it has none, or returns the error of an earlier
// write.
func (s *spill) prepare(w *spillWriter) error {
	err := s.failed()
	if err != nil || w.file != nil {
		return err
	}
	if w.file, err = files.CreateTemporary(s.folder, "pcap-merge-*"); err != nil {
		return fmt.Errorf("%w: %w", files.ErrTemporary, err)
	}
	return nil
}

func (s *spill) failed() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.err
}

// A chunk in the file is a header for each packet (time, captured length, wire
// length, link type, whether it is untimed, and direction), and then the data of all.
const spillHeaderLength = 20

func appendPackets(chunk []byte, packets []stream.Packet) []byte {
	order := binary.NativeEndian
	for i := range packets {
		packet := &packets[i]
		untimed := byte(0)
		if packet.Untimed {
			untimed = 1
		}
		chunk = order.AppendUint64(chunk, uint64(packet.Time))
		chunk = order.AppendUint32(chunk, uint32(len(packet.Data)))
		chunk = order.AppendUint32(chunk, packet.WireLength)
		chunk = order.AppendUint16(chunk, uint16(packet.LinkType))
		chunk = append(chunk, untimed, byte(packet.Direction))
	}
	for i := range packets {
		chunk = append(chunk, packets[i].Data...)
	}
	return chunk
}

// parsePackets is the inverse of appendPackets.
func parsePackets(dst []stream.Packet, chunk []byte, count int) []stream.Packet {
	order := binary.NativeEndian
	data := chunk[count*spillHeaderLength:]
	for i := range count {
		header := chunk[i*spillHeaderLength:][:spillHeaderLength]
		length := order.Uint32(header[8:])
		dst = append(dst, stream.Packet{
			Time: int64(order.Uint64(header)), Data: data[:length:length], WireLength: order.Uint32(header[12:]),
			LinkType: stream.LinkType(order.Uint16(header[16:])), Untimed: header[18] != 0, Direction: stream.Direction(header[19]),
		})
		data = data[length:]
	}
	return dst
}

func (s *spill) write(w *spillWriter, chunk *spilledChunk) {
	data := w.plain
	if s.isSlow() {
		data = w.compress()
	}
	chunk.size, chunk.file, chunk.offset, chunk.stored = len(w.plain), w.file, w.size, len(data)
	w.size += int64(len(data))
	began := time.Now()
	_, err := w.file.WriteAt(data, chunk.offset)
	cost := float64(time.Since(began)) / float64(len(data))
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.size += int64(len(data))
	s.writeCost += (cost - s.writeCost) / writeCostSpan
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("%w: %w", files.ErrTemporary, err)
	}
}

func (s *spill) isSlow() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.writeCost > slowWrite
}

// compress returns the compressed chunk, or the chunk itself if that is not larger.
func (w *spillWriter) compress() []byte {
	w.compressed = sized(w.compressed, lz4.CompressBlockBound(len(w.plain)))
	n, err := w.compressor.CompressBlock(w.plain, w.compressed)
	if err != nil || n == 0 || n >= len(w.plain) { // 0: it cannot be compressed
		return w.plain
	}
	return w.compressed[:n]
}

// flush waits until everything is written.
func (s *spill) flush() error {
	s.writes.Wait()
	return s.failed()
}

// written is the number of bytes in all files.
func (s *spill) written() int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.size
}

// read loads the packets of a chunk into memory. It is safe for concurrent use.
func (s *spill) read(chunk *spilledChunk, memory *loadedChunk) ([]stream.Packet, error) {
	memory.plain = sized(memory.plain, chunk.size)
	var err error
	if chunk.stored == chunk.size {
		_, err = chunk.file.ReadAt(memory.plain, chunk.offset)
	} else {
		err = s.uncompress(chunk, memory.plain)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", files.ErrTemporary, err)
	}
	memory.packets = parsePackets(memory.packets[:0], memory.plain, chunk.packets)
	return memory.packets, nil
}

func (s *spill) uncompress(chunk *spilledChunk, plain []byte) error {
	buffer, ok := s.stored.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
	}
	defer s.stored.Put(buffer)
	*buffer = sized(*buffer, chunk.stored)
	if _, err := chunk.file.ReadAt(*buffer, chunk.offset); err != nil {
		return err
	}
	n, err := lz4.UncompressBlock(*buffer, plain)
	if err == nil && n != chunk.size {
		err = fmt.Errorf("wanted %d bytes, got %d", chunk.size, n)
	}
	return err
}

func (s *spill) close() error {
	s.writes.Wait()
	var errs [spillWriters]error
	var closing sync.WaitGroup // the kernel needs some time to free much data
	for i := range errs {
		w := <-s.idle
		closing.Go(func() { errs[i] = w.close() })
	}
	closing.Wait()
	return errors.Join(errs[:]...)
}

func (w *spillWriter) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// sized returns a buffer of size bytes: the given one if it is large enough.
func sized(buffer []byte, size int) []byte {
	if cap(buffer) < size {
		return make([]byte, size)
	}
	return buffer[:size]
}
