package schedule

import "sync/atomic"

// Deadlines remembers when the last 65536 frames of a socket were due, for comparison with
// their transmit timestamps.
type Deadlines struct {
	moments [1 << 16]atomic.Int64
	// Frames, counted as the kernel does, modulo 2^32. Those between sent and noted are being
	// sent.
	sent, noted uint32
}

// note records when the next frame is due.
func (d *Deadlines) note(moment int64) {
	d.moments[d.noted%uint32(len(d.moments))].Store(moment)
	d.noted++
}

// Moment returns when a frame was due. Frames are numbered from 0.
func (d *Deadlines) Moment(frame uint32) int64 { return d.moments[frame%uint32(len(d.moments))].Load() }
