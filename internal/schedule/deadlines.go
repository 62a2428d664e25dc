package schedule

import "sync/atomic"

// Deadlines remembers when the frames of a transmission were due, for somebody who
// learns later when they left: those of the last 65536 frames.
type Deadlines struct {
	moments [1 << 16]atomic.Int64
	frames  uint32 // sent so far, counted as the kernel does, modulo 2^32
}

// note takes the moment of the frame that will be sent after so many others.
func (d *Deadlines) note(ahead int, moment int64) {
	d.moments[(d.frames+uint32(ahead))%uint32(len(d.moments))].Store(moment)
}

// Moment gives when a frame was due, by its number from 0.
func (d *Deadlines) Moment(frame uint32) int64 { return d.moments[frame%uint32(len(d.moments))].Load() }
