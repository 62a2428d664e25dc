package schedule

import "sync/atomic"

// Deadlines remembers when the last 65536 frames of a transmission were due, for comparison
// with their transmit timestamps.
type Deadlines struct {
	moments [1 << 16]atomic.Int64
	frames  uint32 // sent so far, counted as the kernel does, modulo 2^32
}

// note records when the frame with this number is due.
func (d *Deadlines) note(ahead int, moment int64) {
	d.moments[(d.frames+uint32(ahead))%uint32(len(d.moments))].Store(moment)
}

// Moment returns when a frame was due. Frames are numbered from 0.
func (d *Deadlines) Moment(frame uint32) int64 { return d.moments[frame%uint32(len(d.moments))].Load() }
