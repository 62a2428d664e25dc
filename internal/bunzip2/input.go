package bunzip2

import (
	"bufio"
	"encoding/binary"
	"io"
)

// input reads compressed data as bits, beginning with the highest bit of a byte. It works
// on the buffer of src, and consumes only the bytes that were used.
type input struct {
	src    *bufio.Reader // nil: buffer is all there is
	buffer []byte        // the data in the buffer of src
	next   int           // the byte in buffer that is not yet in bits
	base   int64         // where buffer begins, in bytes from the start of the data
	err    error         // error of src

	missing bool // more bits were needed than there are

	bits  uint64 // what comes next, from the highest bit on
	count uint   // how many of these bits are valid; the others are zero, or already the right ones
}

// position is the offset of the next bit from the start of the data.
func (in *input) position() int64 { return (in.base+int64(in.next))*8 - int64(in.count) }

// fill reads more from src when all its data is in bits.
func (in *input) fill() {
	if in.src == nil {
		in.err = io.EOF
		return
	}
	kept := in.release()
	_, in.err = in.src.Peek(kept + 1)
	in.buffer, _ = in.src.Peek(in.src.Buffered())
	in.next = kept
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

// gather loads as many bits from the buffer as fit: more than 56, unless it is nearly
// empty.
func (in *input) gather() {
	if len(in.buffer)-in.next >= 8 {
		in.bits |= binary.BigEndian.Uint64(in.buffer[in.next:]) >> in.count
		in.next += int(63-in.count) >> 3
		in.count |= 56
		return
	}
	for in.count <= 56 && in.next < len(in.buffer) {
		in.bits |= uint64(in.buffer[in.next]) << (56 - in.count)
		in.next++
		in.count += 8
	}
}

// has ensures that there are count bits, at most 56.
func (in *input) has(count uint) bool {
	for in.count < count {
		if in.gather(); in.count >= count {
			break
		}
		if in.err != nil {
			return false
		}
		in.fill()
	}
	return true
}

// drop skips available bits.
func (in *input) drop(count uint) {
	in.bits <<= count
	in.count -= count
}

// take reads a number of count bits, at most 56. At the end of the data it returns 0: see
// cause.
func (in *input) take(count uint) uint64 {
	if !in.has(count) {
		in.missing = true
		return 0
	}
	number := in.bits >> (64 - count)
	in.drop(count)
	return number
}

// align skips the rest of a byte.
func (in *input) align() { in.drop(in.count & 7) }

// skip skips bits that are available or in src.
func (in *input) skip(count int64) {
	if count <= int64(in.count) {
		in.drop(uint(count))
		return
	}
	count -= int64(in.count)
	in.bits, in.count = 0, 0
	for wanted := int(count / 8); wanted > 0; {
		if in.next == len(in.buffer) {
			if in.err != nil {
				break
			}
			in.fill()
		}
		passed := min(wanted, len(in.buffer)-in.next)
		in.next += passed
		wanted -= passed
	}
	in.take(uint(count % 8))
}

// cause is the error if more bits were needed than there are, and otherwise nil.
func (in *input) cause() error {
	switch {
	case !in.missing:
		return nil
	case in.err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return in.err
}
