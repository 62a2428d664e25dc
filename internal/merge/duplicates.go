package merge

import (
	"hash/maphash"
	"math"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// Sameness says which packets are duplicates of each other.
type Sameness int

const (
	// SameBytes means the same bytes, length on the wire and link type.
	SameBytes Sameness = iota
	// SameIP means the same IP packet: the link header, VLAN tags, padding, the TTL or hop
	// limit, and the checksum of the IPv4 header may differ, as at two taps with a router
	// between them. A retransmission is another packet, because its IP identification or its
	// sequence number differs. For other packets it means SameBytes.
	SameIP
)

// Duplicates finds packets that have occurred before, within a window of time. Bytes are
// compared by a hash of 128 bits.
type Duplicates struct {
	window   int64
	sameness Sameness
	seeds    [2]maphash.Seed
	seen     map[digest]int64 // time of the packet kept
	order    []seenPacket     // a ring of the same, in order of arrival
	first    int
	count    int
	latest   int64
}

type digest [2]uint64

type seenPacket struct {
	digest
	time int64
}

// NewDuplicates returns a Duplicates with a window in nanoseconds.
func NewDuplicates(window int64, sameness Sameness) *Duplicates {
	return &Duplicates{
		window: window, sameness: sameness, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
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
	key, ok := digest{}, false
	if d.sameness == SameIP {
		key, ok = d.digestIP(packet)
	}
	if !ok {
		key = d.digest(packet)
	}
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

// digestIP is a digest of an IP packet without what routers change. It returns false for other
// packets.
func (d *Duplicates) digestIP(packet *stream.Packet) (key digest, ok bool) {
	// Offsets of the TTL and the checksum of IPv4 (RFC 791), and of the hop limit of IPv6
	// (RFC 8200).
	const ttl, checksum, hopLimit = 8, 10, 7
	const longestHeader = 60 // of IPv4
	layers := frame.Split(packet)
	if layers.Transport == 0 {
		return key, false
	}
	var headerBytes [longestHeader]byte
	header := headerBytes[:copy(headerBytes[:], layers.Network[:layers.Transport])]
	if layers.EtherType == frame.EtherTypeIPv4 {
		header[ttl], header[checksum], header[checksum+1] = 0, 0, 0
	} else {
		header[hopLimit] = 0
	}
	for i, seed := range d.seeds {
		payload := maphash.Bytes(seed, layers.Network[layers.Transport:])
		key[i] = frame.Mix(maphash.Bytes(seed, header)+uint64(layers.Whole)) ^ payload
	}
	return key, true
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
