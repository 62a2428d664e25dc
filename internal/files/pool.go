package files

import (
	"container/list"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
)

// Pool keeps the number of open descriptors within a limit: it closes the least recently
// read file, and opens it again when it is needed. It is safe for concurrent use.
type Pool struct {
	limit int
	count func(bytes int) // is called with the bytes that PooledFile.Read reads
	ended atomic.Bool

	mutex sync.Mutex
	freed sync.Cond
	open  list.List // of *PooledFile, the one used last at the front
}

// NewPool returns a Pool that keeps at most limit files open. count is called with the
// number of bytes read; it may be nil.
func NewPool(limit int, count func(bytes int)) *Pool {
	p := &Pool{limit: max(limit, 1), count: count}
	p.freed.L = &p.mutex
	return p
}

// End makes all later reads fail with ErrShut. A reader that looks for intact data behind
// damage would otherwise go on to the end of its file.
func (p *Pool) End() { p.ended.Store(true) }

// PooledFile is a file of a Pool. ReadAt and Close are safe for concurrent use, Read is
// not.
type PooledFile struct {
	pool   *Pool
	path   string
	info   fs.FileInfo
	offset int64
	end    atomic.Int64 // where Read ends in any case

	file    *os.File      // nil while closed
	element *list.Element // in pool.open
	readers int
	closed  bool
}

// Open opens a file. Close it after use.
func (p *Pool) Open(path string) (*PooledFile, error) {
	file := &PooledFile{pool: p, path: path}
	file.end.Store(math.MaxInt64)
	if err := file.acquire(); err != nil {
		return nil, err
	}
	defer file.release()
	info, err := file.file.Stat()
	if err == nil && info.IsDir() {
		err = ErrFolder
	}
	if err != nil {
		file.closed = true
		return nil, err
	}
	file.info = info
	return file, nil
}

// Move sets the new name of a file that was renamed. It is opened again by this name.
func (f *PooledFile) Move(path string) {
	f.pool.mutex.Lock()
	defer f.pool.mutex.Unlock()
	f.path = path
}

// Info is the result of stat(2) when the file was first opened.
func (f *PooledFile) Info() fs.FileInfo { return f.info }

// Stat returns Info. It never fails.
func (f *PooledFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// StatNow calls fstat(2) again.
func (f *PooledFile) StatNow() (fs.FileInfo, error) {
	if err := f.acquire(); err != nil {
		return nil, err
	}
	defer f.release()
	return f.file.Stat()
}

// acquire keeps the file open until release.
func (f *PooledFile) acquire() error {
	pool := f.pool
	pool.mutex.Lock()
	defer pool.mutex.Unlock()
	for f.file == nil && pool.open.Len() >= pool.limit {
		if !pool.closeIdle() {
			pool.freed.Wait()
		}
	}
	if f.closed {
		pool.freed.Signal() // there is room for the next waiting file
		return os.ErrClosed
	}
	if f.file == nil {
		if err := f.reopen(); err != nil {
			pool.freed.Signal()
			return err
		}
		f.element = pool.open.PushFront(f)
	} else {
		pool.open.MoveToFront(f.element)
	}
	f.readers++
	return nil
}

// reopen opens the file again and checks that it is still the same file.
func (f *PooledFile) reopen() error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	if f.info != nil {
		if info, err := file.Stat(); err != nil || !os.SameFile(info, f.info) {
			file.Close()
			return errors.New("was replaced while it was read")
		}
	}
	f.file = file
	return nil
}

func (f *PooledFile) release() {
	pool := f.pool
	pool.mutex.Lock()
	defer pool.mutex.Unlock()
	f.readers--
	if f.readers == 0 {
		if f.closed {
			pool.remove(f)
		}
		pool.freed.Signal()
	}
}

// closeIdle closes the least recently used file that is not being read.
func (p *Pool) closeIdle() bool {
	for element := p.open.Back(); element != nil; element = element.Prev() {
		if file := element.Value.(*PooledFile); file.readers == 0 {
			p.remove(file)
			return true
		}
	}
	return false
}

func (p *Pool) remove(file *PooledFile) {
	file.file.Close()
	p.open.Remove(file.element)
	file.file, file.element = nil, nil
}

// ReadAt implements io.ReaderAt.
func (f *PooledFile) ReadAt(p []byte, offset int64) (int, error) {
	if f.pool.ended.Load() {
		return 0, ErrShut
	}
	if err := f.acquire(); err != nil {
		return 0, err
	}
	defer f.release()
	return f.file.ReadAt(p, offset)
}

// EndAt makes Read end at an offset, even if the file is longer.
func (f *PooledFile) EndAt(offset int64) { f.end.Store(offset) }

// Read implements io.Reader.
func (f *PooledFile) Read(p []byte) (int, error) {
	n, err := 0, io.EOF
	if left := f.end.Load() - f.offset; left > 0 {
		n, err = f.ReadAt(p[:min(int64(len(p)), left)], f.offset)
	}
	f.offset += int64(n)
	switch {
	case n > 0 && err == io.EOF:
		err = nil // the file may have grown by the next time
	case err == io.EOF:
		err = endOf(f.info, f.offset)
	}
	if f.pool.count != nil {
		f.pool.count(n)
	}
	return n, err
}

// Close implements io.Closer.
func (f *PooledFile) Close() error {
	pool := f.pool
	pool.mutex.Lock()
	defer pool.mutex.Unlock()
	f.closed = true
	if f.file != nil && f.readers == 0 {
		pool.remove(f)
		pool.freed.Signal()
	}
	return nil
}

// Descriptors is the number of files that are open.
func (p *Pool) Descriptors() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.open.Len()
}
