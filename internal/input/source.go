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

// Source is an input as it is stored. What is read from it is counted, and reading ends
// when the run does.
type Source struct {
	ctx   context.Context
	file  io.Reader
	count func(bytes int64)

	position int64
	reached  int64 // what is before has been counted
}

// NewSource reads a file until ctx is cancelled. count is told how many bytes were read.
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

// Seek implements io.Seeker where the source is a file. What is skipped is done with; a
// seek to the end only asks for the size.
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

// ReadAt implements io.ReaderAt where the source is a file.
func (s *Source) ReadAt(p []byte, offset int64) (int, error) {
	file, ok := s.file.(*files.Input)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return file.ReadAt(p, offset)
}

// Sender is a source of which parts go to a pipe in a quicker way than by copying.
type Sender interface {
	// SendTo sends a part, or the beginning of it, and says how much of it that was.
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

// indexedSource is an archive that is read by its index. What is read is counted.
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

// SendTo implements Sender. What was read last, with a header, may be sent now.
func (s *indexedSource) SendTo(dst *os.File, offset, size int64) int64 {
	file, ok := s.Source.(*os.File)
	if !ok {
		return 0
	}
	n := files.SendFile(dst, file, offset, size)
	s.count(max(0, min(n, offset+n-s.end.Load())))
	return n
}

// TimesSize is how many bytes there are to read in rounds of a loop; -1 if that is not
// known, or if there is no end (0 rounds).
func TimesSize(total, rounds int64) int64 {
	if total < 0 || rounds == 0 || total > math.MaxInt64/rounds-1 {
		return -1
	}
	return total * rounds
}
