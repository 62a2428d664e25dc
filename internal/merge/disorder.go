package merge

import (
	"math"

	"pcap-replay/stream"
)

// disorder measures how far out of order packets are: how much later one has
// come before them. What is further out than the window is late and will not be
// put in order, so it does not count.
type disorder struct {
	window int64
	latest int64 // time of all packets so far
	most   int64 // disorder within the window
}

func newDisorder(window int64) disorder {
	return disorder{window: window, latest: math.MinInt64}
}

func (d *disorder) observe(packets []stream.Packet) {
	latest := d.latest
	for i := range packets {
		time := packets[i].Time
		if time >= latest {
			latest = time
		} else if behind := latest - time; behind > d.most && behind <= d.window {
			d.most = behind // a difference that wraps round is negative, and far out of the window
		}
	}
	d.latest = latest
}
