package stream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"pcap-replay/internal/bunzip2"
	"pcap-replay/internal/gunzip"
	"pcap-replay/internal/rewind"
	"pcap-replay/internal/unframe"
	"pcap-replay/internal/unxz"
)

const (
	// compressedBlockSize is the number of bytes that are read from a compressed source at a
	// time. The header and the first block of a zstd frame fit into it.
	compressedBlockSize = 128<<10 + 64
	// maxWindow is the maximum window of a zstd or xz stream, in bytes. zstd without --long
	// and xz -9 need no more.
	maxWindow = 128 << 20
	// maxDamageAhead is the limit of damageAhead, in bytes. The slowest decompression takes
	// about a second for them.
	maxDamageAhead = 16 << 20
)

// DecompressionError reports compressed data that is damaged or ends too early. All
// data that could be decompressed was returned before it.
type DecompressionError struct {
	Compression Compression
	Err         error

	search *search // for intact data after the damage; nil in an error that is not of this package
}

// Error says whether the data is damaged or ends too early.
func (e *DecompressionError) Error() string {
	if errors.Is(e.Err, io.ErrUnexpectedEOF) {
		return e.Compression.String() + " data ends too early"
	}
	return e.Compression.String() + " data is damaged: " + e.Err.Error()
}

// Unwrap returns the error of the decompressor. It is [io.ErrUnexpectedEOF] if the
// data ends too early.
func (e *DecompressionError) Unwrap() error { return e.Err }

// isOf reports whether d itself has found the damage, and not a decompressor that d reads
// from.
func (e *DecompressionError) isOf(d *decompressor) bool {
	return e.search != nil && e.search.decompressor == d
}

// TrailingError reports data after the end of compressed data that is neither
// compressed nor a capture. All data before it was intact.
type TrailingError struct {
	Compression Compression
	// Head holds the first bytes of the trailing data.
	Head []byte
}

// Error quotes the first bytes of the trailing data.
func (e *TrailingError) Error() string {
	return fmt.Sprintf("%s data is followed by %q, which is not %s data", e.Compression, e.Head, e.Compression)
}

// Decompress detects the compression of src from its first bytes. It returns a
// reader of the decompressed data, and the compression. Uncompressed input is
// returned unchanged. Compressed files that follow one another in src, as cat
// writes them, are decompressed one after another.
//
// The caller must close the result. That does not close src.
//
// Damaged data is a [*DecompressionError] or a [*TrailingError]. After it, the next Read
// continues with the next intact member of a gzip file, frame of LZ4 or zstd, block or
// stream of xz, or block of bzip2, if there is one. Other errors are those of src.
func Decompress(src io.Reader) (io.ReadCloser, Compression, error) {
	d := &decompressor{rewinder: rewind.NewReader(&sourceError{reader: src})}
	d.src = bufio.NewReaderSize(d.rewinder, compressedBlockSize)
	err := d.next()
	if err != nil && err != io.EOF {
		return nil, Uncompressed, err
	}
	return d, d.compression, nil
}

// sourceError marks the errors of a source, to distinguish them from the errors of a decoder
// that reads damaged data.
type sourceError struct{ reader io.Reader }

type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

func (s *sourceError) Read(p []byte) (int, error) {
	n, err := s.reader.Read(p)
	if err != nil && err != io.EOF {
		err = readError{err}
	}
	return n, err
}

// decompressor reads compressed files one after another.
type decompressor struct {
	rewinder    *rewind.Reader
	src         *bufio.Reader       // of rewinder
	broken      *DecompressionError // what Read returned last, if it found damage
	start       int64               // of the current file, in compressed bytes
	given       int64               // uncompressed bytes of it that Read has returned
	compression Compression         // of it
	decoder     io.Reader           // nil between two files
	gzip        *gunzip.Reader      // used again for each member
	zstd        *zstd.Decoder       // used again for each frame
	bzip2       *bunzip2.Reader     // used again for each file
	xz          *unxz.Reader        // used again for each stream
	frame       *unframe.Reader     // what decoder reads, with LZ4 and zstd
	isLegacy    bool                // the last frame of LZ4 was a legacy one
	finder      *unframe.Finder     // of frames after damage
	close       func()
	isDone      chan struct{} // is closed when the last goroutine that reads src has ended; or nil
}

// next detects the compression of the next file and sets up its decoder. The error is io.EOF
// if there is no next file.
func (d *decompressor) next() error {
	for {
		head, err := d.src.Peek(compressionMagicLength)
		if len(head) == 0 {
			return sourceCause(err)
		}
		if !isSkippableFrame(head) {
			return d.open(head)
		}
		if err := d.skip(8 + int64(binary.LittleEndian.Uint32(head[4:]))); err != nil {
			return err
		}
	}
}

// open sets up the decoder for a file that begins with head.
func (d *decompressor) open(head []byte) error {
	detected := DetectCompression(head)
	if detected == Uncompressed && d.compression != Uncompressed && !isFileMagic(head) {
		return d.trailing(head)
	}
	d.compression, d.start, d.given = detected, d.position(), 0
	var err error
	switch detected {
	case Uncompressed:
		d.decoder = d.src
	case Gzip:
		if d.gzip == nil {
			d.gzip = new(gunzip.Reader)
		}
		d.gzip.ResetMember(d.src) // something else may follow
		d.decoder = d.gzip
	case LZ4:
		// Its Read waits for as many blocks as there is room for; WriteTo gives each
		// when it is there.
		decoder, blocks := io.Pipe()
		frame := unframe.NewLZ4(d.src, isFile)
		d.frame = frame
		d.isLegacy = string(head[:4]) == unframe.LegacyLZ4
		d.keepLast(maxSearchFrame(frame))
		isDone := make(chan struct{})
		d.isDone = isDone
		go func() {
			_, err := lz4.NewReader(frame).WriteTo(blocks)
			close(isDone)
			blocks.CloseWithError(err)
		}()
		d.decoder, d.close = decoder, func() { decoder.Close() }
	case Zstd:
		d.frame = unframe.NewZstd(d.src)
		d.keepLast(maxSearchFrame(d.frame))
		if d.zstd == nil {
			d.zstd, err = zstd.NewReader(d.frame, zstdOptions...)
		} else {
			err = d.zstd.Reset(d.frame)
		}
		if err == nil {
			d.decoder = &zstdReader{decoder: d.zstd}
		}
	case XZ:
		if d.xz == nil {
			d.xz = unxz.NewReader(maxWindow)
		}
		d.xz.Reset(d.src)
		d.keepLast(maxSearchXZ)
		d.decoder = d.xz
	case Bzip2:
		if d.bzip2 == nil {
			d.bzip2 = new(bunzip2.Reader)
		}
		d.bzip2.ResetSingle(d.src)
		d.keepLast(maxSearchBzip2)
		d.decoder = d.bzip2
	}
	if err != nil {
		return d.damaged(err)
	}
	return nil
}

var zstdOptions = []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow)}

// zstdReader returns the last block of a frame even if the checksum of the frame is wrong. In
// that case, the decoder returns the error first and the block with the next Read.
type zstdReader struct {
	decoder *zstd.Decoder
	isLast  bool // the decoder has returned an error, and was read once more
}

func (r *zstdReader) Read(p []byte) (int, error) {
	n, err := r.decoder.Read(p)
	if n == 0 && err != nil && !r.isLast {
		r.isLast = true
		n, err = r.decoder.Read(p)
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// trailing returns the error for data that follows compressed data. Zeros are no error,
// because tapes and block devices pad with them.
func (d *decompressor) trailing(head []byte) error {
	head = bytes.Clone(head)
	for {
		block, err := d.src.Peek(1)
		if len(block) == 0 {
			return sourceCause(err)
		}
		block, _ = d.src.Peek(d.src.Buffered())
		if len(bytes.TrimLeft(block, "\x00")) > 0 {
			broken := &DecompressionError{Compression: d.compression, Err: errHeader, search: &search{decompressor: d, from: d.position(), find: d.findFile}}
			if broken.search.run() {
				return broken
			}
			return &TrailingError{d.compression, head}
		}
		_, _ = d.src.Discard(len(block))
	}
}

func (d *decompressor) skip(size int64) error {
	start := d.position()
	n, err := io.CopyN(io.Discard, d.src, size)
	if n == size {
		return nil
	}
	err = d.damaged(err)
	var broken *DecompressionError
	if errors.As(err, &broken) { // its length may be damaged
		broken.search = &search{decompressor: d, from: start, find: d.findAfterSkippable}
	}
	return err
}

// Read implements io.Reader.
func (d *decompressor) Read(p []byte) (int, error) {
	if d.broken != nil && !d.broken.search.run() {
		return 0, d.broken
	}
	d.broken = nil
	n, err := d.read(p)
	if broken := (*DecompressionError)(nil); errors.As(err, &broken) && broken.isOf(d) {
		d.broken = broken
	}
	return n, err
}

func (d *decompressor) read(p []byte) (int, error) {
	for {
		if d.decoder == nil {
			if err := d.next(); err != nil {
				return 0, err
			}
		}
		n, err := d.decoder.Read(p)
		d.given += int64(n)
		if err == nil || err == io.EOF && n > 0 {
			return n, nil
		}
		if err != io.EOF {
			return n, d.damaged(err)
		}
		if d.compression == Uncompressed {
			return 0, io.EOF
		}
		if d.frame != nil && d.frame.Err != nil && d.frame.Err != io.EOF {
			return n, d.damaged(d.frame.Err) // which a decoder takes for the end where it has read too little
		}
		d.endFile()
	}
}

// damaged returns the error of the source, or a DecompressionError if the data is damaged.
func (d *decompressor) damaged(err error) error {
	var read readError
	if errors.As(err, &read) {
		return read.error
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if d.frame != nil && d.frame.Err != io.ErrUnexpectedEOF && errors.Is(err, io.ErrUnexpectedEOF) {
		err = errBlockEnd // the source has not ended
	}
	return &DecompressionError{Compression: d.compression, Err: err, search: &search{decompressor: d, find: d.findAfterDamage}}
}

var (
	errBlockEnd = errors.New("a block ends too early")
	errHeader   = errors.New("the header is damaged")
)

// damageAhead looks for damage: a checksum comes after the data that it covers. It skips the
// data up to there, and stops after maxDamageAhead bytes.
func (d *decompressor) damageAhead() (skipped int64, err error) {
	return io.CopyN(io.Discard, d, maxDamageAhead)
}

// sourceCause returns an error without the mark of sourceError.
func sourceCause(err error) error {
	var read readError
	if errors.As(err, &read) {
		return read.error
	}
	return err
}

func (d *decompressor) endFile() {
	if d.close != nil {
		d.close()
	}
	d.decoder, d.frame, d.close = nil, nil, nil
}

// Close frees the decoder.
func (d *decompressor) Close() error {
	d.endFile()
	d.closeFinder()
	if d.isSourceFree() {
		d.rewinder.Free()
	}
	if d.zstd != nil {
		d.zstd.Close()
		d.zstd = nil
	}
	return nil
}

// isSourceFree reports whether no goroutine reads the source any more.
func (d *decompressor) isSourceFree() bool {
	if d.isDone == nil {
		return true
	}
	select {
	case <-d.isDone:
		return true
	default:
		return false
	}
}
