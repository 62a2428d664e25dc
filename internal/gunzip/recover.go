package gunzip

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

const (
	// minMember is the least number of bytes after the header of a member: an empty block of
	// two bytes, and the trailer of eight.
	minMember = 10
	// enoughOutput is how many bytes a candidate must decompress to without an error, if it
	// does not end before. Other data that looks like a header fails within a few bytes.
	enoughOutput = 16 << 10
	// maxRatio is the highest ratio of deflate: zlib's technical notes.
	maxRatio = 1032
	// maxBGZF is the most bytes that a member of bgzip holds: SAM format specification,
	// section 4.1.
	maxBGZF = 1 << 16
	// headLength is the length of a header without its optional fields, in bytes.
	headLength = 10
	// lengthField is the length of the last field of a trailer, in bytes.
	lengthField = 4
)

// magic begins a member whose compression method is deflate.
var magic = []byte{0x1f, 0x8b, 8}

// SkipToMember looks for the next member after Read has failed in the one of ResetMember. If
// Read has not been called, it begins at the start of the source. It leaves the source at
// that member, or at its end if there is none. A member is recognised by its header and by
// what it decompresses to: all of it with the right checksum, or the first 16 KiB.
//
// lost is the number of uncompressed bytes that Read has not returned. It is negative if the
// damaged data decompressed to more than there was. It is exact if one member is damaged,
// because the length of a member is directly before the next member. For members of bgzip, it
// is also exact if several are damaged.
func (r *Reader) SkipToMember() (lost int64, found bool) {
	s := search{src: r.src, offset: r.base}
	start, read := int64(0), r.length
	if r.limit > 0 { // the header gives the end of the member
		s.discard(int(r.limit - r.base))
		if !r.hasTrailer {
			r.trailer = s.before
		}
		isMember := s.isAtMember()
		if length := binary.LittleEndian.Uint32(r.trailer[:]); isMember || length <= maxBGZF {
			lost, start, read = missing(r.trailer, r.limit, r.length), r.limit, 0
		}
		if isMember {
			return lost, true
		}
	} else if r.base == 0 && r.finished != nil {
		s.discard(1) // not the damaged member itself
	}
	for s.findHeader() {
		if s.isAtMember() {
			return lost + missing(s.before, s.offset-start, read), true
		}
		s.discard(1)
	}
	return 0, false
}

// missing is the number of bytes of a member that have not been read. field is the last
// field of its trailer. The result is 0 if the field cannot be its length.
func missing(field [lengthField]byte, compressed, read int64) int64 {
	length := int64(binary.LittleEndian.Uint32(field[:]))
	if length > compressed*maxRatio {
		return 0
	}
	return length - read
}

// search looks for a member in compressed data.
type search struct {
	src    *bufio.Reader
	offset int64             // of the source, from the start of the damaged member
	before [lengthField]byte // the bytes in front of it
	probe  Reader
}

// discard skips bytes, at most as many as the source can buffer.
func (s *search) discard(count int) {
	gone, _ := s.src.Peek(count)
	last := gone[max(0, len(gone)-lengthField):]
	copy(s.before[:], s.before[len(last):])
	copy(s.before[lengthField-len(last):], last)
	_, _ = s.src.Discard(len(gone))
	s.offset += int64(len(gone))
}

// findHeader skips to the next possible header, and reports whether there is one.
func (s *search) findHeader() bool {
	for {
		if head, _ := s.src.Peek(headLength); len(head) < headLength {
			return false
		}
		buffer, _ := s.src.Peek(s.src.Buffered())
		if at := bytes.Index(buffer, magic); at >= 0 {
			s.discard(at)
			return true
		}
		s.discard(len(buffer) - len(magic) + 1)
	}
}

// isAtMember reports whether a member begins at the position of the source.
func (s *search) isAtMember() bool {
	if head, _ := s.src.Peek(headLength); len(head) < headLength || !bytes.HasPrefix(head, magic) || head[3]&reservedFlags != 0 {
		return false
	}
	ahead, _ := s.src.Peek(s.src.Size())
	if s.isBGZF(ahead) {
		return true
	}
	s.probe.ResetMember(bufio.NewReaderSize(bytes.NewReader(ahead), len(ahead)))
	n, err := io.CopyN(io.Discard, &s.probe, enoughOutput)
	return err == nil || err == io.EOF || err == io.ErrUnexpectedEOF && n >= enoughOutput/4
}

// isBGZF reports whether a member of bgzip begins here, with another one at the end that its
// header gives. Its data may be damaged: it is then a loss of its own.
func (s *search) isBGZF(ahead []byte) bool {
	s.probe.ResetMember(bufio.NewReaderSize(bytes.NewReader(ahead), len(ahead)))
	err := s.probe.readHeader()
	length := s.probe.memberLength
	return err == nil && length > 0 && length < int64(len(ahead)) && bytes.HasPrefix(ahead[length:], magic)
}
