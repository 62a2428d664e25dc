package schedule

import (
	"math"
	"time"

	"pcap-replay/stream"
)

// TimeScale says how an [Axis] differs from the time that the packets tell.
type TimeScale struct {
	Speed Speed
	// MaxGap shortens longer gaps between departures; 0 leaves them.
	MaxGap time.Duration
	// Packets and Bits space the packets evenly by their number or by their
	// lengths on the wire, whatever their timestamps. At most one is set, and
	// then neither Speed nor MaxGap.
	Packets, Bits Rate
}

// lonelyGap follows a section that has no mean gap, because it has one packet or
// all at the same time, where a stream has had no other: a loop over one packet
// is no flood.
const lonelyGap = int64(time.Millisecond)

// Axis maps the packets of a stream, in their order, to departures. A packet out
// of order leaves at once and does not move the axis; one without a timestamp
// leaves with the packet before it.
//
// The sections of a stream follow one another. One that starts when the last one
// ended or later keeps its gap; one that starts earlier follows after the mean
// gap of the last one, as a loop does.
//
// Departures never fall, and end at [math.MaxInt64], after 292 years.
type Axis struct {
	scale TimeScale

	packets, bits uint64 // before this one

	position  int64 // elapsed on the source's time, sections joined
	cut       int64 // off the departures, by MaxGap
	departure int64 // of the packet before

	start       *int64 // the time that departs first; nil is that of the first packet
	begins      bool   // the next packet is the first of a section
	started     bool   // some packet had a timestamp
	first, last int64
	timed       int64 // packets of this section that have a timestamp
	meanGap     int64 // of the last section that has one

	outOfOrder  int64
	maxDisorder int64
}

// NewAxis gives the axis of a stream.
func NewAxis(scale TimeScale) *Axis {
	if scale.Speed == (Speed{}) {
		scale.Speed = Speed{1, 1}
	}
	return &Axis{scale: scale, meanGap: lonelyGap}
}

// StartAt says that the departure of time is 0, rather than that of the first
// packet, which is not before it.
func (a *Axis) StartAt(time int64) { a.start = &time }

// BeginSection says that the next packet is the first of a section.
func (a *Axis) BeginSection() { a.begins = true }

// Departure gives when the next packet leaves, in nanoseconds from the first, or
// from the start.
func (a *Axis) Departure(packet *stream.Packet) int64 {
	switch {
	case a.scale.Packets > 0:
		a.departure = a.scale.Packets.departure(a.packets)
	case a.scale.Bits > 0:
		a.departure = a.scale.Bits.departure(a.bits)
	}
	a.packets++
	a.bits += 8 * uint64(packet.WireLength)
	if a.advance(packet) && a.scale.Packets == 0 && a.scale.Bits == 0 {
		a.depart()
	}
	return a.departure
}

// OutOfOrder is how many packets came behind a later one of their section, and
// by how many nanoseconds at most.
func (a *Axis) OutOfOrder() (packets, most int64) { return a.outOfOrder, a.maxDisorder }

// advance moves position to the packet and says whether it may have moved.
func (a *Axis) advance(packet *stream.Packet) bool {
	switch {
	case packet.Untimed:
		return false
	case !a.started:
		a.started = true
		if a.start != nil && packet.Time > *a.start {
			a.position = distance(*a.start, packet.Time)
		}
		a.beginAt(packet.Time)
	case a.begins:
		a.position = Later(a.position, a.seam(packet.Time))
		a.beginAt(packet.Time)
	case packet.Time < a.last:
		a.timed++
		a.outOfOrder++
		a.maxDisorder = max(a.maxDisorder, distance(packet.Time, a.last))
		return false
	default:
		a.position = Later(a.position, distance(a.last, packet.Time))
		a.last = packet.Time
		a.timed++
	}
	return true
}

func (a *Axis) beginAt(time int64) { a.begins, a.first, a.last, a.timed = false, time, time, 1 }

// seam is the gap between the section that ends and the one that starts at time.
func (a *Axis) seam(time int64) int64 {
	span := distance(a.first, a.last)
	if span > 0 && a.timed > 1 {
		a.meanGap = span / (a.timed - 1)
	}
	if time > a.last || time == a.last && span > 0 {
		return distance(a.last, time)
	}
	return a.meanGap
}

// depart moves departure to position.
func (a *Axis) depart() {
	departure := a.scale.Speed.departures(a.position) - a.cut
	if gap := departure - a.departure; a.scale.MaxGap > 0 && gap > int64(a.scale.MaxGap) {
		a.cut += gap - int64(a.scale.MaxGap)
		departure = a.departure + int64(a.scale.MaxGap)
	}
	a.departure = departure
}

// distance is how far it is from earlier to later, at most [math.MaxInt64]:
// timestamps of pcapng span the whole range.
func distance(earlier, later int64) int64 {
	return int64(min(uint64(later)-uint64(earlier), math.MaxInt64))
}

// Later adds nanoseconds that are not negative to a time, up to the last one that there is.
func Later(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
