package merge

import (
	"fmt"
	"os"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// spill is a file without a name that takes what memory does not. Compressing and
// writing go on in the background.
type spill struct {
	folder string
	file   *os.File // nil before the first use
	size   int64

	busy   chan struct{} // one for each chunk that is being written
	mutex  sync.Mutex
	err    error // the first
	idle   []*spillWriter
	writes sync.WaitGroup

	stored sync.Pool // of *[]byte: chunks as they are in the file
}

// spilledChunk is where a chunk is, once flush has returned.
type spilledChunk struct {
	offset int64
	stored int
	size   int // where as many bytes are stored, they are not compressed
}

// spillWriter is the memory for one chunk.
type spillWriter struct {
	compressor        lz4.Compressor
	plain, compressed []byte
}

// spillWriters is how many chunks are compressed at the same time.
const spillWriters = 2

func newSpill(folder string) *spill {
	return &spill{folder: folder, busy: make(chan struct{}, spillWriters)}
}

// add takes data, which is written by the time that flush returns, and gives other
// memory for it.
func (s *spill) add(data []byte) (chunk *spilledChunk, memory []byte, err error) {
	if s.file == nil {
		file, err := createUnnamed(s.folder)
		if err != nil {
			return nil, nil, fmt.Errorf("spill: %w", err)
		}
		s.file = file
	}
	s.busy <- struct{}{}
	w, err := s.takeWriter()
	if err != nil {
		return nil, nil, err
	}
	memory = w.plain[:0]
	w.plain = data
	chunk = &spilledChunk{size: len(data)}
	s.writes.Go(func() {
		s.write(w, chunk)
		<-s.busy
	})
	return chunk, memory, nil
}

// takeWriter gives a writer, or the error of an earlier write.
func (s *spill) takeWriter() (*spillWriter, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if len(s.idle) == 0 {
		return &spillWriter{}, nil
	}
	w := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	return w, nil
}

func (s *spill) write(w *spillWriter, chunk *spilledChunk) {
	w.compressed = sized(w.compressed, lz4.CompressBlockBound(len(w.plain)))
	n, err := w.compressor.CompressBlock(w.plain, w.compressed)
	data := w.compressed[:n]
	if err != nil || n == 0 || n >= len(w.plain) { // 0: it cannot be compressed
		data = w.plain
	}
	s.mutex.Lock()
	chunk.offset, chunk.stored = s.size, len(data)
	s.size += int64(len(data))
	s.mutex.Unlock()
	_, err = s.file.WriteAt(data, chunk.offset)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.idle = append(s.idle, w)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("spill: %w", err)
	}
}

// flush waits until everything is written.
func (s *spill) flush() error {
	s.writes.Wait()
	return s.err
}

// read gives the data of a chunk, in memory if that is large enough. It is safe
// for concurrent use.
func (s *spill) read(chunk *spilledChunk, memory []byte) ([]byte, error) {
	plain := sized(memory, chunk.size)
	var err error
	if chunk.stored == chunk.size {
		_, err = s.file.ReadAt(plain, chunk.offset)
	} else {
		err = s.uncompress(chunk, plain)
	}
	if err != nil {
		return nil, fmt.Errorf("read spilled packets: %w", err)
	}
	return plain, nil
}

func (s *spill) uncompress(chunk *spilledChunk, plain []byte) error {
	buffer, ok := s.stored.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
	}
	defer s.stored.Put(buffer)
	*buffer = sized(*buffer, chunk.stored)
	if _, err := s.file.ReadAt(*buffer, chunk.offset); err != nil {
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
	if s.file == nil {
		return nil
	}
	return s.file.Close()
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

// sized gives a buffer of size bytes, the one at hand if it is large enough.
func sized(buffer []byte, size int) []byte {
	if cap(buffer) < size {
		return make([]byte, size)
	}
	return buffer[:size]
}
