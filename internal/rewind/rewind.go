// Package rewind reads a source and goes back in it, as after damage in compressed data.
package rewind

import (
	"bufio"
	"io"
	"slices"
	"sync"
)

// againSize is how much a rewinder gives again at a time, in bytes: often little of it is
// needed before the next damage.
const againSize = 4 << 10

// Reader reads a source, and can give the bytes that it read last again. A [bufio.Reader] reads
// from it.
type Reader struct {
	src    io.Reader
	limit  int    // how many bytes it keeps
	kept   []byte // a ring: the oldest byte is at oldest
	oldest int
	again  int   // how many of the kept bytes Read gives before it reads src
	offset int64 // in src
}

// NewReader returns a Reader that keeps nothing yet.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	if r.again > 0 {
		at := (r.oldest + len(r.kept) - r.again) % len(r.kept)
		n := copy(p[:min(len(p), r.again, againSize)], r.kept[at:])
		r.again -= n
		return n, nil
	}
	n, err := r.src.Read(p)
	r.offset += int64(n)
	r.keep(p[:n])
	return n, err
}

func (r *Reader) keep(data []byte) {
	data = data[max(0, len(data)-r.limit):]
	room := min(r.limit-len(r.kept), len(data))
	r.kept = append(r.kept, data[:room]...) // oldest is 0 until the ring is full
	for data = data[room:]; len(data) > 0; {
		n := copy(r.kept[r.oldest:], data)
		r.oldest = (r.oldest + n) % len(r.kept)
		data = data[n:]
	}
}

// KeepLast makes the Reader keep the last limit bytes or more from now on. src reads from it, and
// what src has buffered is kept as well. Its buffer is not larger than limit.
func (r *Reader) KeepLast(limit int, src *bufio.Reader) {
	if limit <= r.limit {
		return
	}
	if r.limit == 0 {
		if ring, ok := rings.Get().(*[]byte); ok {
			r.kept = *ring
		}
	} else {
		r.kept = slices.Concat(r.kept[r.oldest:], r.kept[:r.oldest])
	}
	r.limit, r.oldest = limit, 0
	if len(r.kept) == 0 {
		buffered, _ := src.Peek(src.Buffered())
		r.keep(buffered)
	}
}

// rings are pointers to the rings of Readers that are not used any more, all empty: a ring of
// several MiB takes as long to grow as to fill.
var rings sync.Pool

// Free gives the memory back.
func (r *Reader) Free() {
	if ring := r.kept[:0]; cap(ring) > 0 {
		rings.Put(&ring)
	}
	r.kept, r.limit, r.oldest, r.again = nil, 0, 0, 0
}

// Position is the offset in the source of what src, which reads from the Reader, gives next.
func (r *Reader) Position(src *bufio.Reader) int64 {
	return r.offset - int64(r.again+src.Buffered())
}

// Rewind makes src, which reads from the Reader, go back to an offset in the source, or as far as
// possible.
func (r *Reader) Rewind(src *bufio.Reader, offset int64) {
	r.again = min(int(r.offset-offset), len(r.kept))
	src.Reset(r)
}
