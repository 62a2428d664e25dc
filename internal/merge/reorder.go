package merge

import (
	"errors"
	"math"

	"pcap-replay/stream"
)

// reorderer gives the packets of one input in order. It holds and copies them
// only where the input is out of order, and no longer than it is.
type reorderer struct {
	src    Reader
	ahead  *lookahead // nil where hold is known from the start
	window int64

	hold     int64 // how long packets are held; 0 passes everything through
	latest   int64 // time seen
	held     holding
	released []stream.Packet
	err      error // that ended src
}

func newReorderer(src Reader, ahead *lookahead, window, hold int64) *reorderer {
	return &reorderer{src: src, ahead: ahead, window: window, hold: min(hold, window), latest: math.MinInt64}
}

// Next implements Reader.
func (r *reorderer) Next() ([]stream.Packet, error) {
	for {
		if due := r.release(); len(due) > 0 {
			return due, nil
		}
		if r.err != nil {
			return nil, r.err
		}
		batch, err := r.src.Next()
		if r.ahead != nil && len(batch) > 0 {
			r.hold = r.ahead.settle()
		}
		if r.hold == 0 {
			if r.ahead != nil {
				r.latest = r.ahead.given.latest
			}
			return batch, err
		}
		for i := range batch {
			r.keep(&batch[i])
		}
		var damage *stream.Damage
		if errors.As(err, &damage) {
			return nil, err
		}
		r.err = err
	}
}

// keep holds a packet. One that is too late keeps its place behind those before it:
// a clock that was wrong once must not begin the stream with another year.
func (r *reorderer) keep(packet *stream.Packet) {
	r.latest = max(r.latest, packet.Time)
	place := packet.Time
	if place < before(r.latest, r.window) {
		place = r.latest
	}
	r.held.add(packet, place)
}

// release gives the held packets that no packet to come can overtake.
func (r *reorderer) release() []stream.Packet {
	due := before(r.latest, r.hold)
	if r.err != nil {
		due = math.MaxInt64
	}
	r.released = r.held.release(r.released[:0], maxBatch, due)
	return r.released
}

// Close implements Reader.
func (r *reorderer) Close() error { return r.src.Close() }

// holding is packets that wait for earlier ones, in memory of their own.
type holding struct {
	packets heldPackets
	slab    slab
	count   uint64
}

// add copies a packet, since its data is not valid for long. Its place in the order
// is that of a packet of such a time.
func (h *holding) add(packet *stream.Packet, place int64) {
	held := heldPacket{*packet, place, h.count}
	held.Data = h.slab.clone(packet.Data)
	h.packets.push(held)
	h.count++
}

// release appends up to most packets to dst, in order, whose place is not after due.
func (h *holding) release(dst []stream.Packet, most int, due int64) []stream.Packet {
	for len(dst) < most && len(h.packets) > 0 && h.packets[0].place <= due {
		dst = append(dst, h.packets.pop())
	}
	return dst
}

// heldPacket is a packet with its place in the order. Of equal ones the first to
// come is the first to go.
type heldPacket struct {
	stream.Packet
	place int64
	count uint64
}

// heldPackets is a binary heap, the next packet first; container/heap would
// allocate with each.
type heldPackets []heldPacket

func (h heldPackets) less(i, j int) bool {
	return h[i].place < h[j].place || h[i].place == h[j].place && h[i].count < h[j].count
}

func (h *heldPackets) push(packet heldPacket) {
	*h = append(*h, packet)
	heap := *h
	for child := len(heap) - 1; child > 0; {
		parent := (child - 1) / 2
		if !heap.less(child, parent) {
			break
		}
		heap[child], heap[parent] = heap[parent], heap[child]
		child = parent
	}
}

func (h *heldPackets) pop() stream.Packet {
	heap := *h
	first, last := heap[0].Packet, len(heap)-1
	heap[0], heap[last] = heap[last], heapVacant
	heap = heap[:last]
	*h = heap
	for parent := 0; ; {
		child := 2*parent + 1
		if child >= last {
			return first
		}
		if child+1 < last && heap.less(child+1, child) {
			child++
		}
		if !heap.less(child, parent) {
			return first
		}
		heap[child], heap[parent] = heap[parent], heap[child]
		parent = child
	}
}

// heapVacant lets go of the data of a packet that has left.
var heapVacant heldPacket
