package schedule

import (
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

// Axis maps the packets of a stream, in their order, to departures. A packet out
// of order leaves at once and does not move the axis; one without a timestamp
// leaves with the packet before it.
//
// The sections of a stream follow one another. One that starts when the last one
// ended or later keeps its gap; one that starts earlier follows after the mean
// gap of the last one that takes time, or after a millisecond, as in a loop. So does one
// that starts at the same time as the last one, if that takes no time.
//
// Departures never fall, and end at [math.MaxInt64], after 292 years.
type Axis struct {
	scale TimeScale

	packets, bits uint64 // before this one

	position  int64 // elapsed on the source's time, sections joined
	cut       int64 // off the departures, by MaxGap
	departure int64 // of the packet before

	start   *int64 // the time that departs first; nil is that of the first packet
	begins  bool   // the next packet with a timestamp is the first of a section
	started bool   // some packet had a timestamp
	span    Span   // of this section so far
	meanGap int64  // of the last section that takes time
	untimed bool   // this section has packets without a timestamp
	again   bool   // the section before had no others

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
func (a *Axis) BeginSection() {
	a.again = a.begins && a.untimed
	a.begins, a.untimed = true, false
}

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
		return a.advanceUntimed()
	case !a.started:
		a.started = true
		if a.start != nil && packet.Time > *a.start {
			a.position = Later(a.position, distance(*a.start, packet.Time))
		}
		a.beginAt(packet.Time)
	case a.begins:
		a.position = Later(a.position, a.seam(packet.Time))
		a.beginAt(packet.Time)
	case packet.Time < a.span.latest:
		a.outOfOrder++
		a.maxDisorder = max(a.maxDisorder, distance(packet.Time, a.span.latest))
		a.span.add(packet.Time)
		return false
	default:
		a.position = Later(a.position, distance(a.span.latest, packet.Time))
		a.span.add(packet.Time)
	}
	return true
}

func (a *Axis) beginAt(time int64) {
	a.begins, a.span = false, Span{}
	a.span.add(time)
}

// advanceUntimed moves position between two sections without any timestamp, as the
// rounds of a loop over one are.
func (a *Axis) advanceUntimed() bool {
	moves := a.again
	a.untimed, a.again = true, false
	if moves {
		a.position = Later(a.position, a.meanGap)
	}
	return moves
}

// seam is the gap between the section that ends and the one that starts at time.
func (a *Axis) seam(time int64) int64 {
	gap, takesTime := a.span.meanGap()
	if takesTime {
		a.meanGap = gap
	}
	if latest := a.span.latest; time > latest || time == latest && takesTime {
		return distance(latest, time)
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
