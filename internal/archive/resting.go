package archive

import (
	"slices"
	"sync"
)

// restingSpan is a span of which nothing is read at the moment, with the piece that was read
// last. The next member often begins in this piece or after it. Without this, reading it would
// begin at the access point again, up to pointDistance before it.
type restingSpan struct {
	*span
	buffer *[cellSize]byte
	piece  []byte // in buffer
	start  int64  // of the piece
	again  bool   // the piece is returned again
}

// resting are the spans of all archives that rest, the last one last.
var resting struct {
	sync.Mutex
	spans []*restingSpan
}

// maxResting limits the memory: a span takes 1.5 (gzip) to 6.5 MiB (LZ4). As many workers that
// have captured at the same time can have their members one after another in a tarball.
const maxResting = 8

// takeSpan returns the span from a point on: one that rests before offset from, or a new one.
func (x *Indexed) takeSpan(i int, from, to int64) (*restingSpan, error) {
	if s := takeResting(x, i, from); s != nil {
		s.again = true
		s.reach(to)
		return s, nil
	}
	s, err := x.openSpan(i, to)
	if err != nil {
		return nil, err
	}
	return &restingSpan{span: s, buffer: x.buffers.Get().(*[cellSize]byte)}, nil
}

// takeResting returns the span that rests nearest before an offset, or nil.
func takeResting(x *Indexed, point int, from int64) (nearest *restingSpan) {
	resting.Lock()
	defer resting.Unlock()
	found := 0
	for i, s := range resting.spans {
		if s.index == x && s.point == point && s.start <= from && (nearest == nil || s.start > nearest.start) {
			nearest, found = s, i
		}
	}
	if nearest != nil {
		resting.spans = slices.Delete(resting.spans, found, found+1)
	}
	return nearest
}

// rest keeps a span for the next member, and frees the one that has rested longest.
func (s *restingSpan) rest() {
	if s.piece == nil {
		s.free()
		return
	}
	resting.Lock()
	resting.spans = append(resting.spans, s)
	var oldest *restingSpan
	if len(resting.spans) > maxResting {
		oldest = resting.spans[0]
		resting.spans = slices.Delete(resting.spans, 0, 1)
	}
	resting.Unlock()
	if oldest != nil {
		oldest.free()
	}
}

// freeResting frees the spans of an archive.
func freeResting(x *Indexed) {
	resting.Lock()
	var own []*restingSpan
	resting.spans = slices.DeleteFunc(resting.spans, func(s *restingSpan) bool {
		if s.index == x {
			own = append(own, s)
		}
		return s.index == x
	})
	resting.Unlock()
	for _, s := range own {
		s.free()
	}
}

// free gives the memory back.
func (s *restingSpan) free() {
	s.close()
	s.index.buffers.Put(s.buffer)
}

// next returns the next piece, which is valid until the following call, and its offset. After
// the last one it returns io.EOF.
func (s *restingSpan) next() (piece []byte, offset int64, err error) {
	if s.again {
		s.again = false
		return s.piece, s.start, nil
	}
	piece, offset, err = s.readPiece(s.buffer[:])
	if err == nil {
		s.piece, s.start = piece, offset
	}
	return piece, offset, err
}
