package gunzip

import (
	"encoding/binary"
	"io"
)

// inputSize is how much compressed data is asked for at a time, in bytes.
const inputSize = 128 << 10

// input gives compressed data as bits, the lowest bit of a byte first: RFC 1951,
// section 3.1.1.
type input struct {
	src    io.Reader
	buffer []byte
	next   int   // the byte in buffer that is not yet in bits
	end    int   // of what src gave
	base   int64 // where buffer begins in bytes from the start of the compressed data
	err    error // why src ended

	bits  uint64 // what comes next
	count uint   // how many bits of it are there; the others are zero
}

func (in *input) reset(src io.Reader, base int64) {
	if in.buffer == nil {
		in.buffer = make([]byte, inputSize)
	}
	*in = input{src: src, buffer: in.buffer, base: base}
}

// position is the bit that comes next, from the start of the compressed data.
func (in *input) position() int64 { return (in.base+int64(in.next))*8 - int64(in.count) }

// fill asks src for more.
func (in *input) fill() {
	copy(in.buffer, in.buffer[in.next:in.end])
	in.base += int64(in.next)
	in.end -= in.next
	in.next = 0
	for range 100 {
		n, err := in.src.Read(in.buffer[in.end:])
		in.end += n
		in.err = err
		if n > 0 || err != nil {
			return
		}
	}
	in.err = io.ErrNoProgress
}

// gather gets as many bits as fit of what is in the buffer: more than 56, unless it
// is nearly empty.
func (in *input) gather() {
	if in.end-in.next >= 8 {
		in.bits |= binary.LittleEndian.Uint64(in.buffer[in.next:]) << in.count
		in.next += int(63-in.count) >> 3
		in.count |= 56
		in.bits &= 1<<in.count - 1
		return
	}
	for in.count <= 56 && in.next < in.end {
		in.bits |= uint64(in.buffer[in.next]) << in.count
		in.next++
		in.count += 8
	}
}

// has makes sure that there are count bits, at most 56. It asks src only if there
// are not: what a live source has sent is decompressed before the next wait.
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

// drop passes over bits that are there.
func (in *input) drop(count uint) {
	in.bits >>= count
	in.count -= count
}

// take gives a number of count bits that are there.
func (in *input) take(count uint) uint32 {
	n := uint32(in.bits & (1<<count - 1))
	in.drop(count)
	return n
}

// align passes over what is left of a byte.
func (in *input) align() { in.drop(in.count & 7) }

// read gives whole bytes, behind align. It returns 0 at the end.
func (in *input) read(p []byte) (n int) {
	for in.count > 0 && n < len(p) {
		p[n] = byte(in.take(8))
		n++
	}
	if n > 0 || len(p) == 0 {
		return n
	}
	for in.next == in.end && in.err == nil {
		in.fill()
	}
	n = copy(p, in.buffer[in.next:in.end])
	in.next += n
	return n
}

// readFull gives len(p) bytes, or fewer at the end.
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

// cause is the error for data that ends too early.
func (in *input) cause() error {
	if in.err == nil || in.err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return in.err
}
