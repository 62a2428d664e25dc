package merge

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/plural"
)

// UnreadError means that a followed file has lost bytes before they were read.
type UnreadError struct {
	Offset  int64 // of the first lost byte
	Lost    int64 // bytes
	AtLeast bool  // the file may have lost more than was known of it
	Reason  string
	// Unseen is the number of captures that were overwritten before anything of them was
	// read. The other fields are empty then.
	Unseen int
}

func (e *UnreadError) Error() string {
	lost := plural.Of(e.Lost, "byte") + " lost"
	switch {
	case e.Unseen == 1:
		return "a capture in it was overwritten before it was seen"
	case e.Unseen > 1:
		return fmt.Sprintf("%d captures in it were overwritten before they were seen", e.Unseen)
	case e.AtLeast && e.Lost == 0:
		lost = "its last bytes may be lost"
	case e.AtLeast:
		lost = "at least " + lost
	}
	return fmt.Sprintf("offset %d: %s (%s)", e.Offset, e.Reason, lost)
}

// tail reads a file and waits for more data at its end. It ends where the watcher says so,
// or if the file has been overwritten.
type tail struct {
	file      *files.PooledFile
	signature *signature
	offset    atomic.Int64           // up to which the file has been read
	size      atomic.Int64           // the largest size so far
	grown     atomic.Int64           // when size last grew, in nanoseconds since the Unix epoch
	waits     atomic.Bool            // at the end of the file
	isDone    atomic.Bool            // the writer has closed the file
	broken    atomic.Pointer[string] // why nothing more can be read

	wake  chan struct{}
	ended chan struct{}
	once  sync.Once
}

func newTail(file *files.PooledFile, signature *signature, size int64) *tail {
	t := &tail{file: file, signature: signature, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	t.size.Store(size)
	return t
}

// Read implements io.Reader.
func (t *tail) Read(p []byte) (int, error) {
	for {
		isLast := t.hasEnded() || t.broken.Load() != nil // then the file has its final data now
		n, err := t.readOn(p)
		if n > 0 || err != io.EOF || isLast {
			return n, err
		}
		t.waits.Store(true)
		select {
		case <-t.wake:
		case <-t.ended:
		}
		t.waits.Store(false)
	}
}

func (t *tail) hasEnded() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// readOn reads the data that is there. The data was read before the file was overwritten,
// because the file still begins with the same bytes after the read.
func (t *tail) readOn(p []byte) (int, error) {
	if t.broken.Load() != nil {
		return 0, t.unread()
	}
	n, err := t.file.Read(p)
	offset := t.offset.Load()
	if !t.signature.isOf(t.file) || !t.signature.covers(p[:n], offset) {
		reason := overwritten
		if err != nil && err != io.EOF {
			reason = err.Error()
		}
		t.breakOff(reason)
		return 0, t.unread()
	}
	t.offset.Store(offset + int64(n))
	if err != nil && err != io.EOF {
		t.breakOff(err.Error())
		err = t.unread()
	}
	return n, err
}

const (
	overwritten = "was overwritten before it was read to its end"
	shortened   = "was cut before it was read to its end"
	deleted     = "was deleted before it was read to its end"
)

// breakOff makes Read return what is lost, and then nothing more.
func (t *tail) breakOff(reason string) {
	t.broken.CompareAndSwap(nil, &reason)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// unread is io.EOF if nothing can have been lost.
func (t *tail) unread() error {
	offset := t.offset.Load()
	lost, isDone := max(0, t.size.Load()-offset), t.isDone.Load()
	if lost == 0 && isDone {
		return io.EOF
	}
	return &UnreadError{Offset: offset, Lost: lost, AtLeast: !isDone, Reason: *t.broken.Load()}
}

// grow tells Read that the file has grown.
func (t *tail) grow(size int64) {
	t.size.Store(size)
	t.grown.Store(time.Now().UnixNano())
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// isBusy reports whether there may be more data to read now.
func (t *tail) isBusy() bool {
	return !t.waits.Load() || t.hasEnded() || t.broken.Load() != nil || t.offset.Load() < t.size.Load()
}

// grewWithin reports whether the file grew less than a duration ago.
func (t *tail) grewWithin(duration time.Duration) bool {
	return time.Now().UnixNano()-t.grown.Load() < int64(duration)
}

// end makes Read end at the largest size so far.
func (t *tail) end() {
	t.once.Do(func() {
		t.file.EndAt(t.size.Load())
		close(t.ended)
	})
}

// Close implements io.Closer.
func (t *tail) Close() error { return t.file.Close() }
