package merge

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"pcap-replay/internal/files"
)

// UnreadError says that a file that is followed has lost bytes before they were read.
type UnreadError struct {
	Offset  int64 // from where on
	Lost    int64 // bytes
	AtLeast bool  // the file may have lost more than what was seen of it
	Reason  string
	// Unseen is how many captures were written over before anything of them was seen. The
	// rest is empty then.
	Unseen int
}

func (e *UnreadError) Error() string {
	lost := fmt.Sprintf("%d bytes lost", e.Lost)
	switch {
	case e.Unseen == 1:
		return "a capture in it was written over before it was seen"
	case e.Unseen > 1:
		return fmt.Sprintf("%d captures in it were written over before they were seen", e.Unseen)
	case e.AtLeast && e.Lost == 0:
		lost = "its last bytes may be lost"
	case e.AtLeast:
		lost = "at least " + lost
	}
	return fmt.Sprintf("offset %d: %s (%s)", e.Offset, e.Reason, lost)
}

// tail reads a file and waits for more at its end. It ends where the watcher says so, or
// where the file is no longer what it was.
type tail struct {
	file      *files.PooledFile
	signature *signature
	offset    atomic.Int64           // read so far
	size      atomic.Int64           // the largest seen
	grown     atomic.Int64           // when it did last, in nanoseconds since the Unix epoch
	waits     atomic.Bool            // at the end of the file
	isDone    atomic.Bool            // whoever wrote the file has closed it
	broken    atomic.Pointer[string] // why there is no more to read

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
		isLast := t.hasEnded() || t.broken.Load() != nil // what the file has now is the last
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

// readOn reads what there is. What it gives was read before the file was written anew,
// since the file begins as before afterwards.
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
	overwritten = "was written anew before it was read to its end"
	shortened   = "was cut before it was read to its end"
	deleted     = "was deleted before it was read to its end"
)

// breakOff has Read give what is lost, and then nothing more.
func (t *tail) breakOff(reason string) {
	t.broken.CompareAndSwap(nil, &reason)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// unread is io.EOF where nothing can have been lost.
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

// isBusy says that there may be more to read at once.
func (t *tail) isBusy() bool {
	return !t.waits.Load() || t.hasEnded() || t.broken.Load() != nil || t.offset.Load() < t.size.Load()
}

// grewWithin says whether the file grew less than a duration ago.
func (t *tail) grewWithin(duration time.Duration) bool {
	return time.Now().UnixNano()-t.grown.Load() < int64(duration)
}

// end has Read end at the largest size seen.
func (t *tail) end() {
	t.once.Do(func() {
		t.file.EndAt(t.size.Load())
		close(t.ended)
	})
}

// Close implements io.Closer.
func (t *tail) Close() error { return t.file.Close() }
