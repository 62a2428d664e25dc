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
	"pcap-replay/internal/unxz"
)

const (
	// compressedBlockSize is how much is asked of a compressed source at a time.
	compressedBlockSize = 128 << 10
	// maxWindow is the most memory that one zstd or xz stream may ask for: what
	// zstd without --long and xz -9 need at most.
	maxWindow = 128 << 20
	// maxDamageAhead is about a second of work, with the slowest compression.
	maxDamageAhead = 16 << 20
)

// DecompressionError reports compressed data that is damaged or ends too early. All
// data that could be decompressed was returned before it.
type DecompressionError struct {
	Compression Compression
	Err         error

	goesOn *decompressor // can read on after the damage; nil if nothing can
	lost   int64         // uncompressed bytes that are skipped, as far as that is known
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
// Damaged data is a [*DecompressionError] or a [*TrailingError]. After a damaged member
// of a gzip file, the next Read continues with the next intact member. Other errors are
// those of src.
func Decompress(src io.Reader) (io.ReadCloser, Compression, error) {
	d := &decompressor{src: bufio.NewReaderSize(&sourceError{reader: src}, compressedBlockSize)}
	err := d.next()
	if err != nil && err != io.EOF {
		return nil, Uncompressed, err
	}
	return d, d.compression, nil
}

// sourceError marks the errors of a source, to tell them from what a decoder
// makes of broken data.
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
	src         *bufio.Reader
	compression Compression     // of the current file
	decoder     io.Reader       // nil between two files
	gzip        *gunzip.Reader  // used again for each member
	bzip2       *bunzip2.Reader // used again for each file
	xz          *unxz.Reader    // used again for each stream
	frame       *frameReader    // what decoder reads, with LZ4 and zstd
	close       func()
}

// next finds out what comes and sets up its decoder. io.EOF says that nothing does.
func (d *decompressor) next() error {
	for {
		head, err := d.src.Peek(compressionMagicLength)
		if len(head) == 0 {
			return sourceCause(err)
		}
		if !isSkippableFrame(head) {
			return d.start(head)
		}
		if err := d.skip(8 + int64(binary.LittleEndian.Uint32(head[4:]))); err != nil {
			return err
		}
	}
}

// start sets up the decoder for what begins with head.
func (d *decompressor) start(head []byte) error {
	detected := DetectCompression(head)
	if detected == Uncompressed && d.compression != Uncompressed && !isFileMagic(head) {
		return d.trailing(head)
	}
	d.compression = detected
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
		frame := newLZ4Frame(d.src)
		d.frame = frame
		go func() {
			_, err := lz4.NewReader(frame).WriteTo(blocks)
			blocks.CloseWithError(err)
		}()
		d.decoder, d.close = decoder, func() { decoder.Close() }
	case Zstd:
		var decoder *zstd.Decoder
		d.frame = newZstdFrame(d.src)
		decoder, err = zstd.NewReader(d.frame, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			d.decoder, d.close = &zstdReader{decoder: decoder}, decoder.Close
		}
	case XZ:
		if d.xz == nil {
			d.xz = unxz.NewReader(maxWindow)
		}
		d.xz.Reset(d.src)
		d.decoder = d.xz
	case Bzip2:
		if d.bzip2 == nil {
			d.bzip2 = new(bunzip2.Reader)
		}
		d.bzip2.ResetSingle(d.src)
		d.decoder = d.bzip2
	}
	if err != nil {
		return d.damaged(err)
	}
	return nil
}

// zstdReader gives the last block of a frame even if the checksum of the frame is wrong. The
// decoder keeps it then, and gives it where it is asked again.
type zstdReader struct {
	decoder *zstd.Decoder
	isLast  bool // the decoder has been asked again
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

// skipDamage goes to the next intact member of a gzip file if err reports damaged data, and
// returns err. The error then names d as the decompressor that can read on.
func (d *decompressor) skipDamage(err error) error {
	var broken *DecompressionError
	if d.compression != Gzip || !errors.As(err, &broken) || broken.Compression != Gzip {
		return err
	}
	if lost, found := d.gzip.SkipToMember(); found {
		d.endFile()
		broken.goesOn, broken.lost = d, lost
	}
	return err
}

var errHeader = errors.New("the header is damaged")

// trailing says what follows compressed data, unless it is the zeros that tapes
// and block devices pad with.
func (d *decompressor) trailing(head []byte) error {
	head = bytes.Clone(head)
	for {
		block, err := d.src.Peek(1)
		if len(block) == 0 {
			return sourceCause(err)
		}
		block, _ = d.src.Peek(d.src.Buffered())
		if len(bytes.TrimLeft(block, "\x00")) > 0 {
			if d.compression == Gzip {
				d.gzip.ResetMember(d.src)
				if broken := (&DecompressionError{Compression: Gzip, Err: errHeader}); d.skipDamage(broken) != nil && broken.goesOn != nil {
					return broken
				}
			}
			return &TrailingError{d.compression, head}
		}
		_, _ = d.src.Discard(len(block))
	}
}

func (d *decompressor) skip(size int64) error {
	n, err := io.CopyN(io.Discard, d.src, size)
	if n < size {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return d.damaged(err)
	}
	return nil
}

// Read implements io.Reader.
func (d *decompressor) Read(p []byte) (int, error) {
	for {
		if d.decoder == nil {
			if err := d.next(); err != nil {
				return 0, err
			}
		}
		n, err := d.decoder.Read(p)
		if err == nil || err == io.EOF && n > 0 {
			return n, nil
		}
		if err != io.EOF {
			return n, d.skipDamage(d.damaged(err))
		}
		if d.compression == Uncompressed {
			return 0, io.EOF
		}
		if d.frame != nil && d.frame.err != nil && d.frame.err != io.EOF {
			return n, d.damaged(d.frame.err) // which a decoder takes for the end where it has read too little
		}
		d.endFile()
	}
}

// damaged tells a broken source from broken data.
func (d *decompressor) damaged(err error) error {
	var read readError
	if errors.As(err, &read) {
		return read.error
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if d.frame != nil && d.frame.err != io.ErrUnexpectedEOF && errors.Is(err, io.ErrUnexpectedEOF) {
		err = errBlockEnd // the source goes on
	}
	return &DecompressionError{Compression: d.compression, Err: err}
}

var errBlockEnd = errors.New("a block ends too early")

// damageAhead reads on for the reason why what has been read makes no sense, and drops
// what comes before it: a checksum stands after what it is of. It gives up after
// maxDamageAhead bytes.
func (d *decompressor) damageAhead() error {
	_, err := io.CopyN(io.Discard, d, maxDamageAhead)
	return err
}

// sourceCause takes the mark of sourceError off.
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
	return nil
}
