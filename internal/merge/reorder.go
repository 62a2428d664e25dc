package merge

import (
	"math"

	"pcap-replay/internal/duration"
	"pcap-replay/stream"
)

// reorderer returns the packets of one input in order. It holds and copies packets only where
// the input is out of order, and only as long as it is.
type reorderer struct {
	src   Reader
	ahead *lookahead // nil if hold is known from the start

	hold     int64 // how long packets are held; 0: not at all
	held     reorderBuffer
	released []stream.Packet
	err      error // the error that ended src
}

func newReorderer(src Reader, ahead *lookahead, window, hold int64) *reorderer {
	return &reorderer{src: src, ahead: ahead, hold: min(hold, window), held: newReorderBuffer(window)}
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
				r.held.latest = r.ahead.given.latest
			}
			return batch, err
		}
		for i := range batch {
			r.held.add(&batch[i])
		}
		if isDamage(err) {
			return nil, err
		}
		r.err = err
	}
}

// release returns the held packets before which no later packet can be sorted.
func (r *reorderer) release() []stream.Packet {
	due := duration.Before(r.held.latest, r.hold)
	if r.err != nil {
		due = math.MaxInt64
	}
	r.released = r.held.release(r.released[:0], maxBatch, due)
	return r.released
}

// Close implements Reader.
func (r *reorderer) Close() error { return r.src.Close() }

// reorderBuffer holds copies of packets of one input, which wait for earlier ones.
type reorderBuffer struct {
	window  int64
	latest  int64 // latest time since the last packet that was too late
	waiting heldPackets
	settled []stream.Packet // up to that packet, in their final order
	taken   int             // of settled
	slab    slab
	count   uint64
}

func newReorderBuffer(window int64) reorderBuffer {
	return reorderBuffer{window: window, latest: math.MinInt64}
}

// add copies a packet, because its data is valid only until the next read.
func (h *reorderBuffer) add(packet *stream.Packet) {
	held := heldPacket{*packet, h.count}
	held.Data = h.slab.clone(packet.Data)
	h.count++
	if isTooLate(packet.Time, h.latest, h.window) {
		h.settle()
		h.settled = append(h.settled, held.Packet)
		h.latest = packet.Time
		return
	}
	h.latest = max(h.latest, packet.Time)
	h.waiting.push(held)
}

// settle makes all packets leave before the next ones, whatever their time.
func (h *reorderBuffer) settle() {
	for len(h.waiting) > 0 {
		h.settled = append(h.settled, h.waiting.pop())
	}
}

// release appends up to most packets to dst, in order: those that are settled, and those
// of the others that are not later than due.
func (h *reorderBuffer) release(dst []stream.Packet, most int, due int64) []stream.Packet {
	for len(dst) < most && h.taken < len(h.settled) {
		dst = append(dst, h.settled[h.taken])
		h.settled[h.taken].Data = nil
		h.taken++
	}
	if h.taken == len(h.settled) {
		h.settled, h.taken = h.settled[:0], 0
	}
	for len(dst) < most && len(h.waiting) > 0 && h.waiting[0].Time <= due {
		dst = append(dst, h.waiting.pop())
	}
	return dst
}

// next is the time of the packet that release will return next, if there is one. A settled
// packet does not wait for any time.
func (h *reorderBuffer) next(due int64) (time int64, ok bool) {
	switch {
	case h.taken < len(h.settled):
		return math.MinInt64, true
	case len(h.waiting) > 0 && h.waiting[0].Time <= due:
		return h.waiting[0].Time, true
	}
	return 0, false
}

func (h *reorderBuffer) isEmpty() bool { return len(h.settled) == 0 && len(h.waiting) == 0 }

// heldPacket is a packet with its number. Packets of equal time keep their order.
type heldPacket struct {
	stream.Packet
	number uint64
}

// heldPackets is a binary heap with the next packet first. container/heap would allocate
// memory for each packet.
type heldPackets []heldPacket

func (h heldPackets) less(i, j int) bool {
	return h[i].Time < h[j].Time || h[i].Time == h[j].Time && h[i].number < h[j].number
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

// heapVacant releases the data of a packet that has left.
var heapVacant heldPacket
