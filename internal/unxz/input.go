package unxz

import (
	"bufio"
	"io"
)

// input reads compressed data byte by byte. It works on the buffer of src, and consumes only
// the bytes that were used.
type input struct {
	src     *bufio.Reader
	buffer  []byte // the data in the buffer of src
	next    int    // the first byte of it that has not been used
	base    int64  // where buffer begins, in bytes from the start of the stream
	missing bool   // more bytes were needed than there are
	err     error  // why there are no more bytes
}

// byte returns the next byte. It reads from src only if necessary, so that the data of a live
// source is decompressed before the next wait. At the end of src it returns 0: see cause.
func (in *input) byte() byte {
	if in.next == len(in.buffer) && !in.fill() {
		return 0
	}
	b := in.buffer[in.next]
	in.next++
	return b
}

// fill reads more from src when all bytes in its buffer have been used.
func (in *input) fill() bool {
	in.release()
	if in.err == nil {
		_, in.err = in.src.Peek(1)
		in.buffer, _ = in.src.Peek(in.src.Buffered())
	}
	in.missing = len(in.buffer) == 0
	return !in.missing
}

// release consumes the used bytes of src.
func (in *input) release() {
	_, _ = in.src.Discard(in.next) // they are in its buffer
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

// position is the number of bytes of the stream that have been used.
func (in *input) position() int64 { return in.base + int64(in.next) }

// cause is the error if more bytes were needed than there are, and otherwise nil.
func (in *input) cause() error {
	switch {
	case !in.missing:
		return nil
	case in.err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return in.err
}
