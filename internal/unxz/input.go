package unxz

import (
	"bufio"
	"io"
)

// input gives compressed data byte by byte. It works on what src has buffered, and takes
// out of that only what has been used.
type input struct {
	src     *bufio.Reader
	buffer  []byte // what src has
	next    int    // the first byte of it that has not been used
	base    int64  // where buffer begins, in bytes from the start of the stream
	missing bool   // a byte was wanted that is not there
	err     error  // why it is not there
}

// byte returns the next byte. It asks src only if there is none: what a live source has
// sent is decompressed before the next wait. Where src ends, it gives 0: see cause.
func (in *input) byte() byte {
	if in.next == len(in.buffer) && !in.fill() {
		return 0
	}
	b := in.buffer[in.next]
	in.next++
	return b
}

// fill asks src for more, where all that it had has been used.
func (in *input) fill() bool {
	in.release()
	if in.err == nil {
		_, in.err = in.src.Peek(1)
		in.buffer, _ = in.src.Peek(in.src.Buffered())
	}
	in.missing = len(in.buffer) == 0
	return !in.missing
}

// release takes what has been used out of src.
func (in *input) release() {
	_, _ = in.src.Discard(in.next) // it has them
	in.base += int64(in.next)
	in.buffer, in.next = in.buffer[in.next:], 0
}

// readFull fills p.
func (in *input) readFull(p []byte) error {
	for i := range p {
		p[i] = in.byte()
	}
	return in.cause()
}

// position is how many bytes of the stream have been used.
func (in *input) position() int64 { return in.base + int64(in.next) }

// cause is the error where a byte was wanted that is not there, else nil.
func (in *input) cause() error {
	switch {
	case !in.missing:
		return nil
	case in.err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return in.err
}
