// Package duplicates finds packets that a capture holds twice, as two taps on the same link
// see them.
package duplicates

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

// Finder finds packets that have occurred before, within a window of time. Bytes are
// compared by a hash of 128 bits.
type Finder struct {
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

// New returns a Finder with a window in nanoseconds.
func New(window int64, sameness Sameness) *Finder {
	return &Finder{
		window: window, sameness: sameness, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		seen: map[digest]int64{}, order: make([]seenPacket, 1024), latest: math.MinInt64,
	}
}

// Has reports whether an equal packet has been seen within the window, and remembers it
// otherwise.
func (f *Finder) Has(packet *stream.Packet) bool {
	if packet.Time > f.latest {
		f.latest = packet.Time
		f.forget()
	}
	key, ok := digest{}, false
	if f.sameness == SameIP {
		key, ok = f.digestIP(packet)
	}
	if !ok {
		key = f.digest(packet)
	}
	if time, ok := f.seen[key]; ok && packet.Time-time <= f.window && time-packet.Time <= f.window {
		return true
	}
	f.seen[key] = packet.Time
	f.remember(seenPacket{key, packet.Time})
	return false
}

func (f *Finder) digest(packet *stream.Packet) (key digest) {
	rest := uint64(packet.WireLength)<<16 | uint64(packet.LinkType)
	for i, seed := range f.seeds {
		key[i] = maphash.Bytes(seed, packet.Data) ^ frame.Mix(rest+uint64(i))
	}
	return key
}

// digestIP is a digest of an IP packet without what routers change. It returns false for other
// packets.
func (f *Finder) digestIP(packet *stream.Packet) (key digest, ok bool) {
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
	for i, seed := range f.seeds {
		payload := maphash.Bytes(seed, layers.Network[layers.Transport:])
		key[i] = frame.Mix(maphash.Bytes(seed, header)+uint64(layers.Whole)) ^ payload
	}
	return key, true
}

func (f *Finder) remember(packet seenPacket) {
	if f.count == len(f.order) {
		grown := make([]seenPacket, 2*len(f.order))
		n := copy(grown, f.order[f.first:])
		copy(grown[n:], f.order[:f.first])
		f.order, f.first = grown, 0
	}
	f.order[(f.first+f.count)%len(f.order)] = packet
	f.count++
}

// forget removes packets that are out of the window. None is later than the latest.
func (f *Finder) forget() {
	for f.count > 0 {
		oldest := &f.order[f.first]
		if uint64(f.latest)-uint64(oldest.time) <= uint64(f.window) {
			return
		}
		if f.seen[oldest.digest] == oldest.time {
			delete(f.seen, oldest.digest)
		}
		f.first = (f.first + 1) % len(f.order)
		f.count--
	}
}
