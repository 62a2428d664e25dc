package archive

import (
	"bufio"
	"io"

	"pcap-replay/stream"
)

const (
	// tapeBufferSize is the size of the buffer in bytes.
	tapeBufferSize = 256 << 10
	// indexedBufferSize is the size of the buffer of a member that is read by an index. It is
	// small, because a thousand members may be open at the same time.
	indexedBufferSize = 4 << 10
)

// tape is an uncompressed tarball that is read forwards. It is an io.Seeker because
// archive/tar skips data by seeking if it can: only the headers of an uncompressed file are
// read, and the data of a stream is discarded without a copy.
type tape struct {
	src    *bufio.Reader
	file   io.ReadSeeker // the file of src; nil if src cannot seek
	size   int64         // bytes of file from the start of the tarball on
	stored io.ReaderAt   // file, if it is an io.ReaderAt; the tarball begins at start
	start  int64
	close  func() error
	offset int64 // of the next byte, from the start of the tarball
	err    error // why the source ended, also io.EOF

	// beforeData is true while archive/tar reads the headers of a member.
	beforeData bool
	// atHeader lets the next read of a whole block return io.EOF. archive/tar reads a
	// whole block where it expects a header: see [Reader.skipData].
	atHeader bool
}

// watcher is called with the data that is decompressed. Its functions may be nil.
type watcher struct {
	onBlock onBlock
	plain   func(io.Reader, stream.Compression) io.Reader
}

// newTape detects the compression of src.
func newTape(src io.Reader, watcher watcher) (*tape, stream.Compression, error) {
	if file, ok := src.(io.ReadSeeker); ok {
		start, size, err := plainSize(file)
		if err != nil {
			return nil, stream.Uncompressed, err
		}
		if size > 0 {
			stored, _ := src.(io.ReaderAt)
			return newFileTape(file, stored, start, size, tapeBufferSize), stream.Uncompressed, nil
		}
	}
	plain, compression, err := decompress(src, watcher.onBlock)
	if err != nil {
		return nil, compression, err
	}
	watched := io.Reader(plain)
	if watcher.plain != nil {
		watched = watcher.plain(plain, compression)
	}
	return newPlainTape(watched, 0, tapeBufferSize, plain.Close), compression, nil
}

// newFileTape reads an uncompressed tarball from the current position of the file, which is
// start in stored, if stored is not nil.
func newFileTape(file io.ReadSeeker, stored io.ReaderAt, start, size int64, bufferSize int) *tape {
	return &tape{
		src: bufio.NewReaderSize(file, bufferSize), file: file, size: size, stored: stored, start: start,
		close: func() error { return nil },
	}
}

// newPlainTape reads data that is already decompressed, from offset on.
func newPlainTape(plain io.Reader, offset int64, bufferSize int, close func() error) *tape {
	return &tape{src: bufio.NewReaderSize(plain, bufferSize), offset: offset, close: close}
}

// plainSize returns the position of a file that can really seek, and the number of bytes
// that follow if they are an uncompressed tarball, and otherwise 0. It does not move the
// position of the file.
func plainSize(file io.ReadSeeker) (start, size int64, err error) {
	start, err = file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, 0, nil // a pipe
	}
	head := make([]byte, blockSize)
	n, err := io.ReadFull(file, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return start, 0, err
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return start, 0, err
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return start, 0, err
	}
	if !IsArchive(head[:n]) {
		return start, 0, nil
	}
	return start, end - start, nil
}

// Read implements io.Reader.
func (t *tape) Read(p []byte) (int, error) {
	if t.atHeader && len(p) == blockSize {
		return 0, io.EOF
	}
	if t.beforeData && len(p) == blockSize {
		amendHeader(t.peek()) // in the buffer
	}
	if t.err != nil && t.src.Buffered() == 0 {
		return 0, t.err
	}
	n, err := t.src.Read(p)
	t.offset += int64(n)
	return n, t.keep(err)
}

// keep remembers why the source ended.
func (t *tape) keep(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// peek returns the next block without advancing. The block is shorter at the end of the
// source, and err then says why the source ends.
func (t *tape) peek() []byte {
	if t.err != nil {
		block, _ := t.src.Peek(min(blockSize, t.src.Buffered()))
		return block
	}
	block, err := t.src.Peek(blockSize)
	_ = t.keep(err)
	return block
}

// Seek implements io.Seeker as far as archive/tar needs it: forwards from the current
// position.
func (t *tape) Seek(distance int64, _ int) (int64, error) {
	err := t.skip(distance)
	return t.offset, err
}

// skip skips bytes. At the end of the source it stops without an error, which the next Read
// returns.
func (t *tape) skip(distance int64) error {
	if t.file != nil {
		return t.jump(distance)
	}
	for distance > 0 && (t.err == nil || t.src.Buffered() > 0) {
		n, err := t.src.Discard(int(min(distance, 1<<30)))
		t.offset += int64(n)
		distance -= int64(n)
		_ = t.keep(err)
	}
	return nil
}

// jump is skip in a file. It skips the data in the buffer even if the file was shorter when
// it was opened.
func (t *tape) jump(distance int64) error {
	buffered := int64(t.src.Buffered())
	if distance > buffered && distance > t.size-t.offset { // not a sum, which could overflow: a member may claim 8 EiB
		if err := t.lookAtSize(); err != nil {
			return t.keep(err)
		}
		distance = max(min(distance, t.size-t.offset), buffered)
	}
	t.offset += distance
	if distance <= buffered {
		_, err := t.src.Discard(int(distance))
		return err
	}
	if _, err := t.file.Seek(distance-buffered, io.SeekCurrent); err != nil {
		return t.keep(err)
	}
	t.src.Reset(t.file)
	return nil
}

// lookAtSize reads the size again, because another program may write to the file.
func (t *tape) lookAtSize() error {
	position, err := t.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	end, err := t.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	t.size = t.offset + int64(t.src.Buffered()) + end - position
	_, err = t.file.Seek(position, io.SeekStart)
	return err
}
