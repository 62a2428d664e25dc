package merge

import (
	"math"

	"pcap-replay/internal/duration"
	"pcap-replay/stream"
)

// isTooLate reports whether a packet with this time is too late to be sorted into those
// before it, whose latest time is latest: see the package comment.
func isTooLate(time, latest, window int64) bool { return time < duration.Before(latest, window) }

// position is how far an input has been read.
type position struct {
	steps  int   // packets so far that were too late
	latest int64 // latest time since the last of them
}

// beginning is before all packets.
var beginning = position{latest: math.MinInt64}

func (p position) isBefore(other position) bool {
	return p.steps < other.steps || p.steps == other.steps && p.latest < other.latest
}

// plus returns the position from which no packet is sorted into those up to p: a window
// later.
func (p position) plus(window int64) position {
	return position{p.steps, duration.After(p.latest, window)}
}

// furthest is the later one of two positions.
func furthest(a, b position) position {
	if a.isBefore(b) {
		return b
	}
	return a
}

// disorder measures by how much time packets are out of order: how much later the latest
// packet before them is. A packet that is too late is not sorted, so it does not count.
type disorder struct {
	window int64
	position
	most int64 // disorder within the window
}

func newDisorder(window int64) disorder { return disorder{window: window, position: beginning} }

func (d *disorder) observe(packets []stream.Packet) {
	latest := d.latest
	for i := range packets {
		time := packets[i].Time
		switch {
		case time >= latest:
			latest = time
		case isTooLate(time, latest, d.window):
			latest = time
			d.steps++
		default:
			d.most = max(d.most, latest-time)
		}
	}
	d.latest = latest
}
