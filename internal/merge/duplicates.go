package merge

import (
	"hash/maphash"
	"math"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// Duplicates finds packets that have occurred before: with the same bytes, length on the
// wire and link type, within a window of time. Bytes are compared by a hash of 128 bits.
type Duplicates struct {
	window int64
	seeds  [2]maphash.Seed
	seen   map[digest]int64 // time of the packet kept
	order  []seenPacket     // a ring of the same, in order of arrival
	first  int
	count  int
	latest int64
}

type digest [2]uint64

type seenPacket struct {
	digest
	time int64
}

// NewDuplicates returns a Duplicates with a window in nanoseconds.
func NewDuplicates(window int64) *Duplicates {
	return &Duplicates{
		window: window, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		seen: map[digest]int64{}, order: make([]seenPacket, 1024), latest: math.MinInt64,
	}
}

// Has reports whether an equal packet has been seen within the window, and remembers it
// otherwise.
func (d *Duplicates) Has(packet *stream.Packet) bool {
	if packet.Time > d.latest {
		d.latest = packet.Time
		d.forget(before(d.latest, d.window))
	}
	key := d.digest(packet)
	if time, ok := d.seen[key]; ok && packet.Time-time <= d.window && time-packet.Time <= d.window {
		return true
	}
	d.seen[key] = packet.Time
	d.remember(seenPacket{key, packet.Time})
	return false
}

func (d *Duplicates) digest(packet *stream.Packet) (key digest) {
	rest := uint64(packet.WireLength)<<16 | uint64(packet.LinkType)
	for i, seed := range d.seeds {
		key[i] = maphash.Bytes(seed, packet.Data) ^ frame.Mix(rest+uint64(i))
	}
	return key
}

func (d *Duplicates) remember(packet seenPacket) {
	if d.count == len(d.order) {
		grown := make([]seenPacket, 2*len(d.order))
		n := copy(grown, d.order[d.first:])
		copy(grown[n:], d.order[:d.first])
		d.order, d.first = grown, 0
	}
	d.order[(d.first+d.count)%len(d.order)] = packet
	d.count++
}

// forget removes packets before time.
func (d *Duplicates) forget(time int64) {
	for d.count > 0 && d.order[d.first].time < time {
		oldest := &d.order[d.first]
		if d.seen[oldest.digest] == oldest.time {
			delete(d.seen, oldest.digest)
		}
		d.first = (d.first + 1) % len(d.order)
		d.count--
	}
}
