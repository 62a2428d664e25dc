package stream

import (
	"bufio"
	"encoding/binary"
	"io"
)

// frameReader gives exactly one LZ4 or zstd frame of a source, by its headers: the
// decoders would take what follows the frame for a broken one.
type frameReader struct {
	src  *bufio.Reader
	left int // bytes of the current piece
	// next says how long the next piece is, without consuming it: a frame header,
	// a block. io.EOF says that the frame has ended.
	next func(src *bufio.Reader) (length int, err error)
	err  error // of next, or io.ErrUnexpectedEOF where src ends inside a piece
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
	if err == io.EOF {
		err, f.err = io.ErrUnexpectedEOF, io.ErrUnexpectedEOF
	}
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
