package merge

import (
	"io"
	"math"
	"sync"

	"pcap-replay/internal/files"
	"pcap-replay/stream"
)

// prescan reads a file a window further than the merge, in its own goroutine, to measure
// the disorder. It keeps no packets.
type prescan struct {
	file      *files.PooledFile
	window    int64
	blockSize int

	mutex    sync.Mutex
	changed  sync.Cond
	seen     disorder
	previous position // at the end of the stint before the last
	offset   int64    // how far the file has been read
	wanted   position // how far the merge wants the file to have been read
	merged   int64    // offset that the merge has reached
	ended    bool     // the file has been read to its end
	stopped  bool     // the merge needs no more
	finished chan struct{}
}

const (
	// prescanBlock is the largest number of bytes that a prescan reads at a time. Half and
	// twice as much take a few percent longer.
	prescanBlock = 128 << 10
	// prescanStint is the number of blocks that a prescan reads before it publishes the
	// result. It stays one stint ahead of what is wanted, so that the merge does not wait.
	prescanStint = 4
)

// prescanReach is the largest number of bytes that a prescan is ahead: a second of 17
// Gbit/s. Without it, a window of hours would make it read all of the file first. Tests
// change it.
var prescanReach = int64(2 << 30)

// newPrescan starts a prescan of a file in blocks of up to blockSize bytes.
func newPrescan(file *files.PooledFile, window int64, blockSize int) *prescan {
	s := &prescan{
		file: file, window: window, blockSize: min(blockSize, prescanBlock), seen: newDisorder(window),
		previous: beginning, wanted: beginning, finished: make(chan struct{}),
	}
	s.changed.L = &s.mutex
	go s.run()
	return s
}

func (s *prescan) run() {
	defer close(s.finished)
	source := io.NewSectionReader(s.file, 0, math.MaxInt64)
	reader := stream.NewReaderSize(source, s.blockSize)
	defer reader.Close()
	batch := make([]stream.Packet, batchSize(s.blockSize))
	seen := s.seen
	for s.isWanted() {
		ended := false
		for end := reader.Offset() + int64(prescanStint*s.blockSize); reader.Offset() < end && !ended; {
			n, err := reader.Read(batch)
			seen.observe(batch[:n])
			ended = err != nil && !isDamage(err) // the merge will find the error again
			if err == io.EOF {
				end, _ := source.Seek(0, io.SeekCurrent) // never fails for a SectionReader
				s.file.EndAt(end)                        // data that is written from now on has not been prescanned
			}
		}
		s.tell(seen, reader.Offset(), ended)
	}
}

// isWanted waits until more of the file is needed. It returns false if no more is needed.
func (s *prescan) isWanted() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for !s.ended && !s.stopped && s.isDone() {
		s.changed.Wait()
	}
	return !s.ended && !s.stopped
}

// isDone reports whether the prescan is a stint ahead of what is wanted, or has reached its
// limit.
func (s *prescan) isDone() bool { return s.wanted.isBefore(s.previous) || s.isFarAhead() }

func (s *prescan) isFarAhead() bool { return s.offset-s.merged >= prescanReach }

// tell publishes the result of a stint.
func (s *prescan) tell(seen disorder, offset int64, ended bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.previous, s.seen, s.offset, s.ended = s.seen.position, seen, offset, ended
	if s.wanted == beginning && seen.position != beginning {
		s.wanted = seen.plus(s.window) // as settle will do soon
	}
	s.changed.Broadcast()
}

// settle waits until the file has been read a window beyond a position and offset that the
// merge has reached, and returns the largest disorder found.
func (s *prescan) settle(merged position, offset int64) int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.wanted, s.merged = furthest(s.wanted, merged.plus(s.window)), offset
	if !s.isDone() {
		s.changed.Broadcast()
	}
	for !s.ended && s.seen.isBefore(s.wanted) && !s.isFarAhead() {
		s.changed.Wait()
	}
	return s.seen.most
}

// close ends the goroutine.
func (s *prescan) close() {
	s.mutex.Lock()
	s.stopped = true
	s.changed.Broadcast()
	s.mutex.Unlock()
	<-s.finished
}
