package merge

import (
	"math"

	"pcap-replay/stream"
)

// isTooLate says that a packet of a time is not sorted into those before it, which go
// up to latest: see the package comment.
func isTooLate(time, latest, window int64) bool { return time < before(latest, window) }

// position is how far an input has been read.
type position struct {
	steps  int   // packets so far that were too late
	latest int64 // time from the last of them on
}

// beginning is before all packets.
var beginning = position{latest: math.MinInt64}

func (p position) isBefore(other position) bool {
	return p.steps < other.steps || p.steps == other.steps && p.latest < other.latest
}

// plus is from where on no packet is sorted into those up to p: a window later.
func (p position) plus(window int64) position { return position{p.steps, after(p.latest, window)} }

// furthest is the later one of two positions.
func furthest(a, b position) position {
	if a.isBefore(b) {
		return b
	}
	return a
}

// disorder measures how far out of order packets are: how much later one has come
// before them. A packet that is too late will not be sorted, so it does not count.
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
