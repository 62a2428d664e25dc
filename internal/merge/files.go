package merge

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
)

// Files keeps the number of open descriptors within a limit: a file that has not
// been read for longest is closed, and opened again when it is needed. It is safe
// for concurrent use.
type Files struct {
	limit int
	count func(bytes int) // is told of what File.Read reads

	mutex sync.Mutex
	freed sync.Cond
	open  list.List // of *File, the one used last at the front
}

// NewFiles keeps at most limit files open. count is told how many bytes are read;
// it may be nil.
func NewFiles(limit int, count func(bytes int)) *Files {
	f := &Files{limit: max(limit, 1), count: count}
	f.freed.L = &f.mutex
	return f
}

// File is a file that is open when it is read. ReadAt and Close may be used
// concurrently, Read may not.
type File struct {
	files  *Files
	path   string
	info   fs.FileInfo
	offset int64
	end    atomic.Int64 // where Read ends in any case

	file    *os.File      // nil while closed
	element *list.Element // in files.open
	readers int
	closed  bool
}

// Open opens a file. Close it after use.
func (f *Files) Open(path string) (*File, error) {
	file := &File{files: f, path: path}
	file.end.Store(math.MaxInt64)
	if err := file.acquire(); err != nil {
		return nil, err
	}
	defer file.release()
	info, err := file.file.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder")
	}
	if err != nil {
		file.closed = true
		return nil, err
	}
	file.info = info
	return file, nil
}

// Info is what stat(2) said when the file was opened first.
func (f *File) Info() fs.FileInfo { return f.info }

// Stat gives Info. It never fails.
func (f *File) Stat() (fs.FileInfo, error) { return f.info, nil }

// acquire sees to it that the file is open until release.
func (f *File) acquire() error {
	files := f.files
	files.mutex.Lock()
	defer files.mutex.Unlock()
	for f.file == nil && files.open.Len() >= files.limit {
		if !files.closeIdle() {
			files.freed.Wait()
		}
	}
	if f.closed {
		files.freed.Signal() // there is room for whoever waits next
		return os.ErrClosed
	}
	if f.file == nil {
		if err := f.reopen(); err != nil {
			files.freed.Signal()
			return err
		}
		f.element = files.open.PushFront(f)
	} else {
		files.open.MoveToFront(f.element)
	}
	f.readers++
	return nil
}

// reopen opens the file, which has to be the one that it was.
func (f *File) reopen() error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	if f.info != nil {
		if info, err := file.Stat(); err != nil || !os.SameFile(info, f.info) {
			file.Close()
			return errors.New("has been replaced while it was read")
		}
	}
	f.file = file
	return nil
}

func (f *File) release() {
	files := f.files
	files.mutex.Lock()
	defer files.mutex.Unlock()
	f.readers--
	if f.readers == 0 {
		if f.closed {
			files.remove(f)
		}
		files.freed.Signal()
	}
}

// closeIdle closes the file that has not been used for longest and is not being
// read.
func (f *Files) closeIdle() bool {
	for element := f.open.Back(); element != nil; element = element.Prev() {
		if file := element.Value.(*File); file.readers == 0 {
			f.remove(file)
			return true
		}
	}
	return false
}

func (f *Files) remove(file *File) {
	file.file.Close()
	f.open.Remove(file.element)
	file.file, file.element = nil, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.acquire(); err != nil {
		return 0, err
	}
	defer f.release()
	return f.file.ReadAt(p, offset)
}

// endAt has Read end at an offset, however long the file has grown.
func (f *File) endAt(offset int64) { f.end.Store(offset) }

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	n, err := 0, io.EOF
	if left := f.end.Load() - f.offset; left > 0 {
		n, err = f.ReadAt(p[:min(int64(len(p)), left)], f.offset)
	}
	f.offset += int64(n)
	switch size := f.info.Size(); {
	case n > 0 && err == io.EOF:
		err = nil // the file may have grown by the next time
	case err == io.EOF && f.offset < size && f.info.Mode().IsRegular():
		err = fmt.Errorf("has been cut while it was read: wanted %d bytes, got %d", size, f.offset)
	}
	if f.files.count != nil {
		f.files.count(n)
	}
	return n, err
}

// Close implements io.Closer.
func (f *File) Close() error {
	files := f.files
	files.mutex.Lock()
	defer files.mutex.Unlock()
	f.closed = true
	if f.file != nil && f.readers == 0 {
		files.remove(f)
		files.freed.Signal()
	}
	return nil
}
