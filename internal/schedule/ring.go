package schedule

import (
	"sync/atomic"
	"time"

	"pcap-replay/stream"
)

// Ring is the buffer between the reader of a stream and the thread that sends
// it. One goroutine puts, another takes. Packets are copied in once; nothing is
// allocated behind [NewRing].
type Ring struct {
	packets    []stream.Packet // their number is a power of two
	departures []int64
	arrivals   []int64  // when the source gave the packet
	ends       []uint64 // of its data, as bytes are counted below
	lasts      []bool   // no further frame of the same packet follows
	arena      []byte

	// What the putting side has put, and what it has seen of the taking side:
	// packets, and bytes of the arena passed, since ever.
	put, putBytes     uint64
	taken, takenBytes uint64

	_         [64]byte // each side writes to a cache line of its own
	published progress
	newest    atomic.Int64 // departure of the last packet published
	closed    atomic.Bool
	_         [64]byte
	released  progress
	abandoned atomic.Bool
	_         [64]byte

	filled chan struct{} // capacity 1: something was published, or the ring closed
}

type progress struct{ packets, bytes atomic.Uint64 }

// NewRing makes room for a number of packets, a power of two, and for size bytes
// of their data.
func NewRing(packets, size int) *Ring {
	r := &Ring{
		packets: make([]stream.Packet, packets), departures: make([]int64, packets),
		arrivals: make([]int64, packets), ends: make([]uint64, packets), lasts: make([]bool, packets),
		arena: make([]byte, size), filled: make(chan struct{}, 1),
	}
	// The first touch of a page takes longer than a send.
	for i := 0; i < size; i += 4096 {
		r.arena[i] = 1
	}
	for i := range r.packets {
		r.packets[i].LinkType, r.departures[i], r.arrivals[i], r.ends[i], r.lasts[i] = 1, 1, 1, 1, true
	}
	return r
}

// MaxPacket is the longest packet that Put ever takes, in bytes: one that fits
// into a ring half full, wherever its end is.
func (r *Ring) MaxPacket() int { return len(r.arena) / 4 }

// Put copies a packet in, to leave at departure; arrival is the moment at which
// the source gave it. One that is cut into several is put in pieces, of which
// only the last one is last. It is false where there is no room yet. The taking
// side sees nothing of it before Publish.
func (r *Ring) Put(packet *stream.Packet, departure, arrival int64, last bool) bool {
	size := uint64(len(packet.Data))
	start := r.putBytes
	if rest := uint64(len(r.arena)) - start%uint64(len(r.arena)); rest < size {
		start += rest // the end of the arena is too short
	}
	if !r.hasRoom(start + size) {
		return false
	}
	place := start % uint64(len(r.arena))
	data := r.arena[place : place+size : place+size]
	copy(data, packet.Data)
	slot := r.slot(r.put)
	r.packets[slot] = *packet
	r.packets[slot].Data = data
	r.departures[slot], r.arrivals[slot], r.ends[slot] = departure, arrival, start+size
	r.lasts[slot] = last
	r.put, r.putBytes = r.put+1, start+size
	return true
}

// hasRoom says whether one more packet fits, the data of which ends at end. It
// looks at the other side's cache line only when it seems not.
func (r *Ring) hasRoom(end uint64) bool {
	fits := func() bool {
		return r.put-r.taken < uint64(len(r.packets)) && end-r.takenBytes <= uint64(len(r.arena))
	}
	if fits() {
		return true
	}
	r.taken, r.takenBytes = r.released.packets.Load(), r.released.bytes.Load()
	return fits()
}

func (r *Ring) slot(packet uint64) int { return int(packet & uint64(len(r.packets)-1)) }

// Publish shows what was put to the taking side, and wakes it if it waits.
func (r *Ring) Publish() {
	if r.put > 0 {
		r.newest.Store(r.departures[r.slot(r.put-1)])
	}
	r.published.bytes.Store(r.putBytes)
	r.published.packets.Store(r.put)
	r.wake()
}

func (r *Ring) wake() {
	select {
	case r.filled <- struct{}{}:
	default:
	}
}

// Close publishes, and says that nothing more will be put.
func (r *Ring) Close() {
	r.Publish()
	r.closed.Store(true)
	r.wake()
}

// Abandon says that nothing more will be taken. Any goroutine may call it.
func (r *Ring) Abandon() {
	r.abandoned.Store(true)
	r.wake()
}

// WaitForRoom returns when half of the ring is free, or false when the ring has
// been abandoned. What was put has to be published before. It looks every so
// often, rather than be woken, because to wake it would cost the sending thread
// microseconds.
func (r *Ring) WaitForRoom(clock Clock, every time.Duration) bool {
	for !r.abandoned.Load() {
		if r.Fill() <= 0.5 {
			return true
		}
		clock.SleepUntil(clock.Now() + int64(every))
	}
	return false
}

// Len is how many packets wait in the ring. Any goroutine may ask.
func (r *Ring) Len() int {
	taken := r.released.packets.Load() // first, or it might be the greater one
	return int(r.published.packets.Load() - taken)
}

// Fill is how full the ring is from 0 to 1, of packets or of bytes. Any goroutine
// may ask.
func (r *Ring) Fill() float64 {
	takenBytes := r.released.bytes.Load()
	bytes := r.published.bytes.Load() - takenBytes
	return max(float64(r.Len())/float64(len(r.packets)), float64(bytes)/float64(len(r.arena)))
}

// front gives the slot of the oldest packet; ok is false for an empty ring.
func (r *Ring) front() (slot int, ok bool) {
	taken := r.released.packets.Load()
	return r.slot(taken), taken != r.published.packets.Load()
}

// row is the number of packets from slot on that are contiguous in memory, at most limit.
func (r *Ring) row(slot, limit int) int { return min(r.Len(), len(r.packets)-slot, limit) }

// release gives the room of the oldest packets back.
func (r *Ring) release(count int) {
	taken := r.released.packets.Load() + uint64(count)
	r.released.bytes.Store(r.ends[r.slot(taken-1)])
	r.released.packets.Store(taken)
}
