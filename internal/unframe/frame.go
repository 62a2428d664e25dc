// Package unframe finds the frames of LZ4 and zstd in compressed data: it reads exactly one
// frame, goes to its end after damage, and finds the next one. It does not decompress them.
package unframe

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

// The first bytes of a frame of LZ4, of a legacy frame of LZ4 and of a frame of zstd.
const (
	LZ4       = "\x04\x22\x4d\x18"
	LegacyLZ4 = "\x02\x21\x4c\x18"
	Zstd      = "\x28\xb5\x2f\xfd"
)

// Reader gives exactly one LZ4 or zstd frame of a source, by its headers: the decoders would
// take what follows the frame for a broken one.
type Reader struct {
	// Err says why Read ended: [io.EOF] at the end of the frame, [io.ErrUnexpectedEOF] where
	// the source ends inside of it, or the error of the source.
	Err error
	// MaxPiece is the length of the longest piece of the frame that there can be. A piece is
	// a header, or a block with its length and its checksum.
	MaxPiece int
	// ContentSize is the number of decompressed bytes as the header says, or -1.
	ContentSize int64

	src  *bufio.Reader
	left int // bytes of the current piece
	// next returns the length of the next piece, and does not consume it. io.EOF means that
	// the frame has ended.
	next func(src *bufio.Reader) (length int, err error)

	// offset is how many bytes of the frame have been read. The current piece begins at
	// piece, and the one before it at before.
	offset, piece, before int64
}

// Piece returns where the current piece begins, and the one before it, in bytes from the
// start of the frame.
func (f *Reader) Piece() (current, before int64) { return f.piece, f.before }

// Read implements io.Reader.
func (f *Reader) Read(p []byte) (int, error) {
	if f.left == 0 {
		if f.left, f.Err = f.next(f.src); f.Err != nil {
			return 0, f.Err
		}
		f.before, f.piece = f.piece, f.offset
	}
	n, err := f.src.Read(p[:min(len(p), f.left)])
	f.left -= n
	f.offset += int64(n)
	if err == io.EOF {
		err, f.Err = io.ErrUnexpectedEOF, io.ErrUnexpectedEOF
	}
	return n, err
}

// SkipRest goes to the end of the frame, and reports whether there is one: damage can make
// it go astray.
func (f *Reader) SkipRest() (ended bool) {
	for f.Err == nil && f.left <= f.MaxPiece {
		n, err := f.src.Discard(f.left)
		f.offset += int64(n)
		if f.left -= n; err != nil {
			return false
		}
		if f.left, f.Err = f.next(f.src); f.Err == nil {
			f.before, f.piece = f.piece, f.offset
		}
	}
	return f.Err == io.EOF
}

// peek is Peek with io.ErrUnexpectedEOF for what is cut.
func peek(src *bufio.Reader, length int) ([]byte, error) {
	head, err := src.Peek(length)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return head, err
}

// NewLZ4 reads a frame of the LZ4 frame format 1.6.4, or a legacy one. A legacy frame ends
// where isFile reports that another file begins.
func NewLZ4(src *bufio.Reader, isFile func(head []byte) bool) *Reader {
	f := &Reader{src: src, ContentSize: -1}
	const headLength = 6 // up to the flags and the size of blocks
	head, _ := src.Peek(headLength)
	if bytes.HasPrefix(head, []byte(LegacyLZ4)) {
		f.MaxPiece, f.next = maxLegacyBlock, nextLegacyBlock(isFile)
		return f
	}
	flags := byte(0)
	if len(head) == headLength {
		flags = head[4]
		f.MaxPiece = 8 + 256<<(2*(head[5]>>4&7)) // with two fields
	}
	started, ended := false, false
	f.next = func(src *bufio.Reader) (int, error) {
		const hasBlockChecksum, hasContentSize, hasContentChecksum, hasDictionary = 0x10, 0x08, 0x04, 0x01
		switch {
		case ended:
			return 0, io.EOF
		case !started:
			started = true
			head, err := peek(src, headLength+8*present(flags&hasContentSize))
			if err != nil {
				return 0, err
			}
			if flags&hasContentSize != 0 {
				f.ContentSize = int64(binary.LittleEndian.Uint64(head[headLength:]))
			}
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
	}
	return f
}

// magicLength is the number of bytes that tell what a file is.
const magicLength = 10

// maxLegacyBlock is the most that 8 MiB are compressed to, with the length of the block: LZ4
// block format, and "Legacy frame" in the LZ4 frame format.
const maxLegacyBlock = 4 + 8<<20 + 8<<20/255 + 16

func present(flag byte) int {
	if flag != 0 {
		return 1
	}
	return 0
}

func nextLegacyBlock(isFile func(head []byte) bool) func(src *bufio.Reader) (int, error) {
	started := false
	return func(src *bufio.Reader) (int, error) {
		if !started {
			started = true
			return 4, nil
		}
		head, err := src.Peek(magicLength)
		if len(head) == 0 || isFile(head) {
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

// NewZstd reads a frame as RFC 8878, section 3.1.1, lays it out.
func NewZstd(src *bufio.Reader) *Reader {
	started, last, ended := false, false, false
	checksum := 0
	f := &Reader{src: src, MaxPiece: maxZstdBlock, ContentSize: -1}
	f.next = func(src *bufio.Reader) (int, error) {
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
			sizeLength := [4]int{isSingleSegment, 2, 4, 8}[descriptor>>6]
			dictionaryID := [4]int{0, 1, 2, 4}[descriptor&3]
			started = true
			length := 5 + 1 - isSingleSegment + dictionaryID + sizeLength
			if head, err := src.Peek(length); err == nil && sizeLength > 0 {
				var size [8]byte
				copy(size[:], head[length-sizeLength:])
				f.ContentSize = int64(binary.LittleEndian.Uint64(size[:]))
				if sizeLength == 2 {
					f.ContentSize += 256
				}
			}
			return length, nil
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
	}
	return f
}

// maxZstdBlock is the length of the longest block with its header: RFC 8878, section
// 3.1.1.2.4.
const maxZstdBlock = 3 + 128<<10
