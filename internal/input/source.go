package input

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"sync/atomic"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
)

// Source is an input as it is stored. It counts the bytes that are read, and ends when the
// run ends.
type Source struct {
	ctx   context.Context
	file  io.Reader
	count func(bytes int64)

	position int64
	reached  int64 // what is before has been counted
}

// NewSource returns a Source that reads a file until ctx is cancelled. count is called with
// the number of bytes read.
func NewSource(ctx context.Context, file io.Reader, count func(bytes int64)) *Source {
	return &Source{ctx: ctx, file: file, count: count}
}

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.file.Read(p)
	s.position += int64(n)
	s.reach(s.position)
	return n, err
}

func (s *Source) reach(position int64) {
	if position > s.reached {
		s.count(position - s.reached)
		s.reached = position
	}
}

// Seek implements io.Seeker if the source is a file. Skipped bytes count as read. A seek to
// the end only returns the size.
func (s *Source) Seek(offset int64, whence int) (int64, error) {
	seeker, ok := s.file.(io.Seeker)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	position, err := seeker.Seek(offset, whence)
	if err != nil {
		return position, err
	}
	s.position = position
	if whence == io.SeekCurrent {
		s.reach(position)
	}
	return position, nil
}

// ReadAt implements io.ReaderAt if the source is a file.
func (s *Source) ReadAt(p []byte, offset int64) (int, error) {
	file, ok := s.file.(*files.Input)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return file.ReadAt(p, offset)
}

// Sender is a source that can pass parts to a pipe without copying.
type Sender interface {
	// SendTo sends a part, or its beginning, and returns the number of bytes sent.
	SendTo(dst *os.File, offset, size int64) int64
}

// SendTo implements Sender.
func (s *Source) SendTo(dst *os.File, offset, size int64) int64 {
	file, ok := s.file.(*files.Input)
	if !ok {
		return 0
	}
	n := files.SendFile(dst, file.File, offset, size)
	s.reach(offset + n)
	return n
}

// indexedSource is an archive that is read through its index. It counts the bytes that are
// read.
type indexedSource struct {
	archive.Source
	count func(bytes int64)
	end   atomic.Int64 // of what was read last
}

func (s *indexedSource) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.Source.ReadAt(p, offset)
	s.count(int64(n))
	s.end.Store(offset + int64(n))
	return n, err
}

// SendTo implements Sender. It may send data that was already read with a header.
func (s *indexedSource) SendTo(dst *os.File, offset, size int64) int64 {
	file, ok := s.Source.(*os.File)
	if !ok {
		return 0
	}
	n := files.SendFile(dst, file, offset, size)
	s.count(max(0, min(n, offset+n-s.end.Load())))
	return n
}

// TimesSize is the number of bytes to read in all rounds of a loop. It is -1 if it is
// unknown, or if there is no end (0 rounds).
func TimesSize(total, rounds int64) int64 {
	if total < 0 || rounds == 0 || total > math.MaxInt64/rounds-1 {
		return -1
	}
	return total * rounds
}
