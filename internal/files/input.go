package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"pcap-replay/internal/plural"
)

// Input is a file that is read from its start to its end. Reading fails when the file ends
// earlier than it did when it was opened: a capture that is cut between two packets would
// look complete otherwise.
type Input struct {
	*os.File
	opened fs.FileInfo
	offset int64
}

// ErrFolder means that an input is a folder, where only a file can be read.
var ErrFolder = errors.New("is a folder")

// OpenInput opens a file, and enlarges a pipe. It refuses folders.
func OpenInput(path string) (*Input, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = ErrFolder
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	EnlargePipe(file)
	return &Input{File: file, opened: info}, nil
}

// Opened is the result of stat(2) when the file was opened.
func (f *Input) Opened() fs.FileInfo { return f.opened }

// Read implements io.Reader.
func (f *Input) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.offset += int64(n)
	if err == io.EOF {
		err = endOf(f.opened, f.offset)
	}
	return n, err
}

// endOf is the error of a file that ends at offset: io.EOF, unless it was longer when it
// was opened.
func endOf(opened fs.FileInfo, offset int64) error {
	if size := opened.Size(); offset < size && opened.Mode().IsRegular() {
		return fmt.Errorf("was truncated while it was read: wanted %s, got %d", plural.Of(size, "byte"), offset)
	}
	return io.EOF
}

// Seek implements io.Seeker.
func (f *Input) Seek(offset int64, whence int) (now int64, err error) {
	f.offset, err = f.File.Seek(offset, whence)
	return f.offset, err
}
