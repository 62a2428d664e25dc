package gunzip

import (
	"bufio"
	"encoding/binary"
	"io"
)

// inputSize is the number of bytes that are read at a time.
const inputSize = 128 << 10

// input reads compressed data as bits, beginning with the lowest bit of a byte: RFC 1951,
// section 3.1.1. It works on the buffer of src, and consumes only the bytes that were used.
type input struct {
	src    *bufio.Reader
	own    *bufio.Reader // src of a source without a buffer; used again
	buffer []byte        // the data in the buffer of src
	next   int           // the byte in buffer that is not yet in bits
	base   int64         // where buffer begins in bytes from the start of the compressed data
	err    error         // error of src
	// limit is where the current member must end, in bytes from the start of the
	// compressed data; 0 if that is not known.
	limit      int64
	trailer    [lengthField]byte // the last bytes of the member, if they have been read
	hasTrailer bool

	bits  uint64 // what comes next
	count uint   // how many bits of it are there; the others are zero
}

func (in *input) reset(src io.Reader, base int64) {
	if in.own == nil {
		in.own = bufio.NewReaderSize(nil, inputSize)
	}
	in.own.Reset(src)
	in.resetBuffered(in.own, base)
}

// resetBuffered is reset for a source with a buffer. It leaves unused data in this buffer.
func (in *input) resetBuffered(src *bufio.Reader, base int64) {
	*in = input{src: src, own: in.own, base: base}
}

// position is the offset of the next bit from the start of the compressed data.
func (in *input) position() int64 { return (in.base+int64(in.next))*8 - int64(in.count) }

// fill reads more from src when all its data is in bits.
func (in *input) fill() {
	kept := in.release()
	if in.limit > 0 && in.base+int64(kept) >= in.limit {
		in.err = errMemberEnd
		return
	}
	_, in.err = in.src.Peek(kept + 1)
	in.buffer, _ = in.src.Peek(in.src.Buffered())
	in.next = kept
	in.applyLimit()
}

// endMemberAt sets the end of the current member. At most 8 bytes after its header are in
// bits then, and every member has more.
func (in *input) endMemberAt(limit int64) {
	in.limit = limit
	in.applyLimit()
}

// applyLimit hides what follows the current member, and keeps its last field.
func (in *input) applyLimit() {
	end := in.limit - in.base
	if in.limit == 0 || int64(len(in.buffer)) < end {
		return
	}
	if end >= lengthField {
		in.hasTrailer = true
		copy(in.trailer[:], in.buffer[end-lengthField:end])
	}
	in.buffer = in.buffer[:max(int64(in.next), end)]
}

// release consumes the used bytes of src. Whole bytes in bits stay there.
func (in *input) release() (kept int) {
	kept = int(in.count / 8)
	used := in.next - kept
	_, _ = in.src.Discard(used) // they are in its buffer
	in.base += int64(used)
	in.buffer, in.next = in.buffer[used:], kept
	return kept
}

// drop skips available bits.
func (in *input) drop(count uint) {
	in.bits >>= count
	in.count -= count
}

// gather loads as many bits from the buffer as fit: more than 56, unless it is nearly
// empty.
func (in *input) gather() {
	if len(in.buffer)-in.next >= 8 {
		in.bits |= binary.LittleEndian.Uint64(in.buffer[in.next:]) << in.count
		in.next += int(63-in.count) >> 3
		in.count |= 56
		in.bits &= 1<<in.count - 1
		return
	}
	for in.count <= 56 && in.next < len(in.buffer) {
		in.bits |= uint64(in.buffer[in.next]) << in.count
		in.next++
		in.count += 8
	}
}

// has ensures that there are count bits, at most 56. It reads from src only if necessary,
// so that data of a live source is decompressed before the next wait.
func (in *input) has(count uint) bool {
	for in.count < count {
		if in.gather(); in.count < count && !in.more() {
			return false
		}
	}
	return true
}

// more is fill, and false at the end of the data.
func (in *input) more() bool {
	if in.err != nil {
		return false
	}
	in.fill()
	return true
}

// take reads a number of count available bits.
func (in *input) take(count uint) uint32 {
	n := uint32(in.bits & (1<<count - 1))
	in.drop(count)
	return n
}

// align skips the rest of a byte.
func (in *input) align() { in.drop(in.count & 7) }

// read reads whole bytes, after align. It returns 0 at the end.
func (in *input) read(p []byte) (n int) {
	for in.count > 0 && n < len(p) {
		p[n] = byte(in.take(8))
		n++
	}
	if n > 0 || len(p) == 0 {
		return n
	}
	for in.next == len(in.buffer) && in.err == nil {
		in.fill()
	}
	n = copy(p, in.buffer[in.next:])
	in.next += n
	return n
}

// readFull reads len(p) bytes, or fewer at the end.
func (in *input) readFull(p []byte) (n int) {
	for n < len(p) {
		more := in.read(p[n:])
		if more == 0 {
			break
		}
		n += more
	}
	return n
}

// cause is the error of data that ends too early.
func (in *input) cause() error {
	if in.err == nil || in.err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return in.err
}
