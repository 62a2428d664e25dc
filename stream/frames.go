package stream

import (
	"bufio"
	"encoding/binary"
	"io"
)

// frameReader gives exactly one LZ4 or zstd frame or xz stream of a source, by its
// headers: the decoders would take what follows the frame for a broken one.
type frameReader struct {
	src  *bufio.Reader
	left int // bytes of the current piece
	// next says how long the next piece is, without consuming it: a frame header,
	// a block. io.EOF says that the frame has ended.
	next func(src *bufio.Reader) (length int, err error)
	err  error // of next
}

// Read implements io.Reader.
func (f *frameReader) Read(p []byte) (int, error) {
	if f.left == 0 {
		if f.left, f.err = f.next(f.src); f.err != nil {
			return 0, f.err
		}
	}
	n, err := f.src.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// peek is Peek with io.ErrUnexpectedEOF for what is cut.
func peek(src *bufio.Reader, length int) ([]byte, error) {
	head, err := src.Peek(length)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return head, err
}

// newLZ4Frame reads a frame of the LZ4 frame format 1.6.4, or a legacy one, which
// has no end but the next magic.
func newLZ4Frame(src *bufio.Reader) *frameReader {
	head, _ := src.Peek(4)
	if string(head) == "\x02\x21\x4c\x18" {
		return &frameReader{src: src, next: nextLegacyBlock()}
	}
	var flags byte
	started, ended := false, false
	return &frameReader{src: src, next: func(src *bufio.Reader) (int, error) {
		const hasBlockChecksum, hasContentSize, hasContentChecksum, hasDictionary = 0x10, 0x08, 0x04, 0x01
		switch {
		case ended:
			return 0, io.EOF
		case !started:
			head, err := peek(src, 5)
			if err != nil {
				return 0, err
			}
			started, flags = true, head[4]
			return 7 + 8*present(flags&hasContentSize) + 4*present(flags&hasDictionary), nil
		}
		head, err := peek(src, 4)
		if err != nil {
			return 0, err
		}
		size := binary.LittleEndian.Uint32(head) &^ (1 << 31) // the highest bit marks a plain block
		if ended = size == 0; ended {
			return 4 + 4*present(flags&hasContentChecksum), nil
		}
		return 4 + int(size) + 4*present(flags&hasBlockChecksum), nil
	}}
}

func present(flag byte) int {
	if flag != 0 {
		return 1
	}
	return 0
}

func nextLegacyBlock() func(src *bufio.Reader) (int, error) {
	started := false
	return func(src *bufio.Reader) (int, error) {
		if !started {
			started = true
			return 4, nil
		}
		head, err := src.Peek(compressionMagicLength)
		if len(head) == 0 || isFileMagic(head) || DetectCompression(head) != Uncompressed || isSkippableFrame(head) {
			if err == nil || len(head) > 0 {
				err = io.EOF
			}
			return 0, err
		}
		if len(head) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		return 4 + int(binary.LittleEndian.Uint32(head)), nil
	}
}

// newZstdFrame reads a frame as RFC 8878, section 3.1.1, lays it out.
func newZstdFrame(src *bufio.Reader) *frameReader {
	started, last, ended := false, false, false
	checksum := 0
	return &frameReader{src: src, next: func(src *bufio.Reader) (int, error) {
		switch {
		case ended:
			return 0, io.EOF
		case !started:
			head, err := peek(src, 5)
			if err != nil {
				return 0, err
			}
			descriptor := head[4]
			isSingleSegment := present(descriptor & 0x20)
			checksum = 4 * present(descriptor&0x04)
			contentSize := [4]int{isSingleSegment, 2, 4, 8}[descriptor>>6]
			dictionaryID := [4]int{0, 1, 2, 4}[descriptor&3]
			started = true
			return 5 + 1 - isSingleSegment + dictionaryID + contentSize, nil
		case last:
			if ended = true; checksum == 0 {
				return 0, io.EOF
			}
			return checksum, nil
		}
		head, err := peek(src, 3)
		if err != nil {
			return 0, err
		}
		header := uint32(head[0]) | uint32(head[1])<<8 | uint32(head[2])<<16
		last = header&1 != 0
		size := int(header >> 3)
		if isRepeatedByte := header>>1&3 == 1; isRepeatedByte {
			size = 1
		}
		return 3 + size, nil
	}}
}

// xzStream is where in an xz stream the next piece begins.
type xzStream struct {
	next      func(src *bufio.Reader) (int, error)
	checkSize int
	size      int    // of the LZMA2 data of a block, or of the index
	numbers   uint64 // of the index, which are left
	number    uint64 // the first of them, as far as it is known
	shift     uint
}

// newXZStream reads a stream of the .xz file format 1.2.1 and the padding behind it.
// It judges nothing, and takes the end of the source for its own: the decoder tells
// what is broken or cut, after it has given all in front of that.
func newXZStream(src *bufio.Reader) *frameReader {
	x := &xzStream{}
	x.next = x.header
	return &frameReader{src: src, next: func(src *bufio.Reader) (int, error) { return x.next(src) }}
}

func (x *xzStream) header(src *bufio.Reader) (int, error) {
	head, err := src.Peek(8)
	if err != nil {
		return available(head, err)
	}
	if check := head[7] & 0x0f; check > 0 {
		x.checkSize = 4 << ((check - 1) / 3)
	}
	x.next = x.block
	return 12, nil
}

func (x *xzStream) block(src *bufio.Reader) (int, error) {
	head, err := src.Peek(1)
	if err != nil {
		return 0, err
	}
	x.size = 0
	if head[0] == 0 {
		x.size, x.next = 1, x.indexLength
		return 1, nil
	}
	x.next = x.chunk
	return 4 * (int(head[0]) + 1), nil
}

// chunk is one of LZMA2, which is the last filter of every block: the size of a block
// need not stand in its header.
func (x *xzStream) chunk(src *bufio.Reader) (int, error) {
	head, err := src.Peek(1)
	if err != nil {
		return 0, err
	}
	control := head[0]
	if control == 0 {
		x.next = x.block
		padding := -(x.size + 1) & 3
		return 1 + padding + x.checkSize, nil
	}
	head, err = src.Peek(5)
	if err != nil {
		return available(head, err)
	}
	length := 3 + int(binary.BigEndian.Uint16(head[1:])) + 1 // a plain chunk
	if control >= 0x80 {
		length = 5 + int(binary.BigEndian.Uint16(head[3:])) + 1
		if hasProperties := control >= 0xc0; hasProperties {
			length++
		}
	}
	x.size = (x.size + length) & 3 // nothing but the padding depends on it
	return length, nil
}

// indexLength reads how many records of two numbers the index has.
func (x *xzStream) indexLength(src *bufio.Reader) (int, error) {
	head, err := src.Peek(1)
	if err != nil {
		return 0, err
	}
	x.number |= uint64(head[0]&0x7f) << x.shift
	x.shift += 7
	x.size++
	if isLast := head[0] < 0x80; isLast {
		x.numbers, x.next = 2*x.number, x.index
	}
	return 1, nil
}

func (x *xzStream) index(src *bufio.Reader) (int, error) {
	if x.numbers == 0 {
		x.next = x.padding
		padding := -x.size & 3
		return padding + 4 + 12, nil // with the checksum of the index, and the footer
	}
	head, err := src.Peek(1)
	if err != nil {
		return 0, err
	}
	x.size++
	if isLast := head[0] < 0x80; isLast {
		x.numbers--
	}
	return 1, nil
}

// padding may stand behind a stream, in steps of four bytes.
func (x *xzStream) padding(src *bufio.Reader) (int, error) {
	head, err := src.Peek(4)
	if string(head) == "\x00\x00\x00\x00" {
		return 4, nil
	}
	if err == nil {
		err = io.EOF
	}
	return 0, err
}

// available gives the decoder what there is of a piece that is cut.
func available(head []byte, err error) (int, error) {
	if len(head) > 0 && err == io.EOF {
		return len(head), nil
	}
	return 0, err
}

// bzip2Source ends in front of what is no bzip2 data, behind the end of a bzip2 file:
// the decoder would take it for a broken file. It takes single bytes.
type bzip2Source struct {
	*bufio.Reader
	last  uint64 // bytes
	ended bool   // the end magic has been seen
	left  int    // bytes behind it
}

// ReadByte implements io.ByteReader.
func (b *bzip2Source) ReadByte() (byte, error) {
	if b.ended && b.left == 0 {
		head, err := b.Peek(3)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if string(head) != "BZh" {
			return 0, io.EOF
		}
		b.ended, b.last = false, 0
	}
	next, err := b.Reader.ReadByte()
	if err != nil {
		return 0, err
	}
	if b.ended {
		b.left--
		return next, nil
	}
	b.last = b.last<<8 | uint64(next)
	const endMagic, mask = 0x177245385090, 1<<48 - 1
	for bit := range 8 { // it may begin at any
		if b.last>>bit&mask == endMagic {
			b.ended, b.left = true, 4 // the checksum, filled up to a whole byte
		}
	}
	return next, nil
}
