package unxz

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
)

const (
	// maxBlockHeader is the length of the longest header of a block: section 3.1.1.
	maxBlockHeader = 1024
	// MaxSearch is how many bytes before its position Read may have failed because of
	// damage: two chunks of LZMA2 with their headers, and the header of a block. An LZMA2
	// chunk takes up to 64 KiB.
	MaxSearch = 2*(6+64<<10) + maxBlockHeader
)

// DamagedChunk is where Read may have failed, in bytes from the start of the stream: the
// chunk before the one in which it noticed, or the header before it.
func (r *Reader) DamagedChunk() int64 { return r.chunkBefore }

// BlockEnd is where the damaged block ends, in bytes from the start of the stream, and how
// many bytes of its data Read has not returned. It is known if the header of the block
// contains both of its lengths, as the headers of "xz -T" do.
func (r *Reader) BlockEnd() (end, unread int64, isKnown bool) {
	b := r.block
	if b == nil || b.storedSize < 0 || b.plainSize < b.given || b.storedSize > 1<<62 {
		return 0, 0, false
	}
	return b.start + (b.storedSize+3)&^3 + r.check.size, b.plainSize - b.given, true
}

// IsAtNext reports whether src continues with a block or the index of the stream, or with
// the header of another stream.
func (r *Reader) IsAtNext(src *bufio.Reader) bool {
	ahead, _ := src.Peek(maxBlockHeader)
	return len(ahead) > 0 && ahead[0] == 0 || r.isBlock(ahead) || isStream(ahead)
}

// FindNext goes to the next block or stream in src, and reports whether there is one. Their
// headers contain a checksum.
func (r *Reader) FindNext(src *bufio.Reader) bool {
	for {
		if ahead, _ := src.Peek(maxBlockHeader); len(ahead) < headerSize {
			_, _ = src.Discard(len(ahead))
			return false
		}
		ahead, _ := src.Peek(src.Buffered())
		last := max(1, len(ahead)-maxBlockHeader+1) // a header that begins after it may be incomplete
		for i := range last {
			if isStream(ahead[i:]) || r.isBlock(ahead[i:]) {
				_, _ = src.Discard(i)
				return true
			}
		}
		_, _ = src.Discard(last)
	}
}

// Resume continues after damage with the block or index in src, which is offset bytes after
// the start of the stream.
func (r *Reader) Resume(src *bufio.Reader, offset int64) {
	r.input = input{src: src, base: offset}
	r.finished, r.block, r.resumed = nil, nil, true
	r.chunk, r.chunkBefore = offset, offset
}

// isStream reports whether data begins with the header of a stream.
func isStream(data []byte) bool {
	return len(data) >= headerSize && string(data[:len(headerMagic)]) == headerMagic && hasCRC32(data[6:8], data[8:])
}

// isBlock reports whether data begins with the header of a block that this stream may have.
func (r *Reader) isBlock(data []byte) bool {
	if r.check == nil || len(data) < 2 || data[0] == 0 || data[1]&reservedFlags != 0 {
		return false
	}
	size := (int(data[0]) + 1) * 4
	if size > len(data) || !hasCRC32(data[:size-4], data[size-4:]) {
		return false
	}
	filters, err := new(block).parseHeader(data[:size-4])
	return err == nil && filters[len(filters)-1].id == filterLZMA2
}

func hasCRC32(data, stored []byte) bool {
	return crc32.ChecksumIEEE(data) == binary.LittleEndian.Uint32(stored)
}
