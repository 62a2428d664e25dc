// Package gunzip decompresses gzip, RFC 1952. It is one and a half times as fast as
// compress/gzip and has two more features: it reports where blocks begin, and it can resume
// there later.
package gunzip

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"pcap-replay/internal/plural"
)

var (
	errHeader   = errors.New("the header is damaged")
	errChecksum = errors.New("the checksum is wrong")
	errLength   = errors.New("the length is wrong")
	// errMemberEnd means that a member is longer than its header says.
	errMemberEnd = errors.New("a block ends after the end of its member")
)

// TrailingError means that the last member of a gzip file is followed by data that is
// neither another member nor padding with zeros.
type TrailingError struct{ Head []byte }

func (e *TrailingError) Error() string { return fmt.Sprintf("gzip data is followed by %q", e.Head) }

// Point is a position between two blocks at which decompression can begin.
type Point struct {
	// Bit is the offset of the block in bits from the start of the file.
	Bit int64
	// Offset is the same position in bytes of the uncompressed data.
	Offset int64
	// Window is the uncompressed data before the point that matches can refer to: at most
	// WindowSize bytes.
	Window []byte
}

// Reader decompresses a gzip file, member by member.
type Reader struct {
	inflater
	// OnBlock, if it is set, is called before each block. The window of the point is only
	// valid during the call.
	OnBlock func(*Point)

	offset   int64  // after the output, in bytes of the uncompressed data
	single   bool   // only the first member is read
	inMember bool   // otherwise a header is next
	resumed  bool   // reading began inside this member, so its checksum cannot be verified
	length   int64  // of this member so far
	checksum uint32 // of this member so far; at first, of its header
	// memberLength is the compressed length of this member as its header gives it; 0 if the
	// header does not.
	memberLength int64
	finished     error // what Read returns after the output
}

// NewReader returns a Reader of a gzip file from its start.
func NewReader(src io.Reader) *Reader {
	r := new(Reader)
	r.Reset(src)
	return r
}

// Reset makes a Reader like NewReader, and reuses its memory.
func (r *Reader) Reset(src io.Reader) {
	r.input.reset(src, 0)
	r.inflater.reset(nil)
	r.restart(0, false)
}

// restart resets everything but the inflater.
func (r *Reader) restart(offset int64, resumed bool) {
	r.OnBlock, r.offset, r.single, r.inMember, r.resumed, r.finished = nil, offset, false, resumed, resumed, nil
	r.length, r.memberLength = 0, 0
}

// ResetMember is Reset for a single member. Read returns io.EOF after it, and leaves the
// rest in src.
func (r *Reader) ResetMember(src *bufio.Reader) {
	r.input.resetBuffered(src, 0)
	r.inflater.reset(nil)
	r.restart(0, false)
	r.single = true
}

// Resume continues at a point. src begins with the byte that contains the first bit of the
// point. The checksum of the first member cannot be verified.
func (r *Reader) Resume(src io.Reader, point *Point) {
	r.input.reset(src, point.Bit/8)
	r.inflater.reset(point.Window)
	r.restart(point.Offset, true)
	if skip := uint(point.Bit & 7); r.has(skip) {
		r.drop(skip)
	}
}

// ResumeTracking is Resume, and also records which bytes of the window are needed: see
// TrimWindow.
func (r *Reader) ResumeTracking(src io.Reader, point *Point) {
	r.Resume(src, point)
	r.reached = new([WindowSize]bool)
	r.tracking = true
}

// TrimWindow sets the bytes of a window to zero that no match has referred to since
// ResumeTracking. Once WindowSize bytes have been read since then, no match will refer to
// them. Zeros compress well.
func (r *Reader) TrimWindow(window []byte) {
	for i := range window {
		if !r.reached[WindowSize-len(window)+i] {
			window[i] = 0
		}
	}
}

// Offset is the position of the next Read, in bytes of the uncompressed data.
func (r *Reader) Offset() int64 { return r.offset - int64(r.write-r.inflater.read) }

// Read implements io.Reader. It returns all data that could be decompressed before an
// error. The error is a [*TrailingError], an error about the data, [io.ErrUnexpectedEOF] if
// the data ends too early, or the error of the source.
func (r *Reader) Read(p []byte) (int, error) {
	for r.inflater.read == r.write {
		if r.finished != nil {
			return 0, r.finished
		}
		if r.isFull() {
			r.makeRoom()
		}
		r.finished = r.step()
	}
	n := copy(p, r.output[r.inflater.read:r.write])
	r.inflater.read += n
	return n, nil
}

// step reads a header or trailer, or decompresses a part of a block.
func (r *Reader) step() error {
	switch {
	case !r.inMember:
		r.memberLength = 0
		if err := r.readHeader(); err != nil {
			return err
		}
		if r.memberLength > r.position()/8+minMember {
			r.endMemberAt(r.memberLength)
		}
		r.inflater.begin()
		r.inMember, r.resumed, r.length, r.checksum = true, false, 0, 0
		return nil
	case r.next == afterLastBlock:
		if err := r.readTrailer(); err != nil || !r.single {
			return err
		}
		r.release()
		return io.EOF
	case r.next == blockHeader && r.OnBlock != nil:
		r.OnBlock(&Point{Bit: r.position(), Offset: r.offset, Window: r.window()})
	}
	before := r.write
	err := r.inflate()
	r.checksum = crc32.Update(r.checksum, crc32.IEEETable, r.output[before:r.write])
	r.length += int64(r.write - before)
	r.offset += int64(r.write - before)
	return err
}

// Flags of a header.
const (
	hasHeaderChecksum = 1 << 1
	hasExtra          = 1 << 2
	hasName           = 1 << 3
	hasComment        = 1 << 4
	reservedFlags     = 0xe0
)

// readHeader reads the header of a member, and returns an error if there is other data.
func (r *Reader) readHeader() error {
	var head [10]byte
	n := r.readFull(head[:])
	isFirst := r.position() == int64(n)*8
	switch {
	case n == 0 && isFirst, n == 0 && r.err != io.EOF:
		return r.cause()
	case n == 0:
		return io.EOF
	case n >= 2 && (head[0] != 0x1f || head[1] != 0x8b), n == 1 && head[0] != 0x1f:
		if isFirst {
			return errHeader
		}
		return r.trailing(head[:n])
	case n < len(head):
		return r.cause()
	case head[2] != 8 || head[3]&reservedFlags != 0:
		return errHeader
	}
	flags := head[3]
	r.checksum = crc32.ChecksumIEEE(head[:])
	if flags&hasExtra != 0 {
		if !r.readHead(head[:2]) || !r.readExtra(int(binary.LittleEndian.Uint16(head[:]))) {
			return r.cause()
		}
	}
	if flags&hasName != 0 && !r.skipText() || flags&hasComment != 0 && !r.skipText() {
		return r.cause()
	}
	if flags&hasHeaderChecksum != 0 {
		checksum := uint16(r.checksum)
		if !r.readHead(head[:2]) {
			return r.cause()
		}
		if binary.LittleEndian.Uint16(head[:]) != checksum {
			return errHeader
		}
	}
	return nil
}

// readHead reads bytes of a header, and reports whether they are complete.
func (r *Reader) readHead(p []byte) bool {
	n := r.readFull(p)
	r.checksum = crc32.Update(r.checksum, crc32.IEEETable, p[:n])
	return n == len(p)
}

// readExtra reads the extra fields of a header. That of bgzip gives the length of the
// member: SAM format specification, section 4.1.
func (r *Reader) readExtra(size int) bool {
	extra := make([]byte, size)
	if r.readFull(extra) < size {
		return false
	}
	r.checksum = crc32.Update(r.checksum, crc32.IEEETable, extra)
	for len(extra) >= 4 {
		length := 4 + int(binary.LittleEndian.Uint16(extra[2:]))
		if length == 6 && len(extra) >= length && string(extra[:2]) == "BC" && r.single {
			r.memberLength = int64(binary.LittleEndian.Uint16(extra[4:])) + 1
		}
		extra = extra[min(length, len(extra)):]
	}
	return true
}

func (r *Reader) skipText() bool {
	for b := [1]byte{1}; b[0] != 0; {
		if !r.readHead(b[:]) {
			return false
		}
	}
	return true
}

// trailing returns an error if the last member is followed by anything but zeros.
func (r *Reader) trailing(head []byte) error {
	block := make([]byte, 4096)
	for rest := head; len(rest) > 0; rest = block[:r.input.read(block)] {
		for _, b := range rest {
			if b != 0 {
				return &TrailingError{head}
			}
		}
	}
	return r.err
}

// readTrailer checks a member's checksum and length.
func (r *Reader) readTrailer() error {
	r.align()
	var trailer [8]byte
	if r.readFull(trailer[:]) < len(trailer) {
		return r.cause()
	}
	r.inMember = false
	if r.resumed || r.damage != nil {
		return r.damage
	}
	checksum, length := binary.LittleEndian.Uint32(trailer[:]), binary.LittleEndian.Uint32(trailer[4:])
	switch {
	case r.checksum != checksum:
		return fmt.Errorf("%w: 0x%08x, wanted 0x%08x", errChecksum, r.checksum, checksum)
	case uint32(r.length) != length:
		return fmt.Errorf("%w: %s, wanted %d, modulo 1<<32", errLength, plural.Of(r.length, "byte"), length)
	}
	return nil
}
