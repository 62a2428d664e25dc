package schedule

import (
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/stream"
)

// TimeScale says how an [Axis] changes the times of the packets.
type TimeScale struct {
	Speed Speed
	// MaxGap shortens longer gaps between departures. 0 means no limit.
	MaxGap time.Duration
	// Packets and Bits space the packets evenly by their number or by their lengths on the
	// wire, whatever their timestamps. At most one of them is set, and then neither Speed
	// nor MaxGap.
	Packets, Bits Rate
}

// Axis maps the packets of a stream, in order, to departures. A packet out of order leaves
// at once and does not move the axis. A packet without a timestamp leaves with the packet
// before it.
//
// The sections of a stream follow one another. If a section starts when the previous one
// ended, or later, the gap between them is kept. If it starts earlier, as in a loop, it
// follows after the mean gap of the last section that has a duration, or after a
// millisecond. This also applies to a section that starts at the same time as the previous
// one, if that has no duration.
//
// Departures never decrease, and end at [math.MaxInt64], after 292 years.
type Axis struct {
	scale TimeScale

	packets, bits uint64 // before this one

	position  int64 // elapsed time of the source, with sections joined
	cut       int64 // removed from the departures by MaxGap
	departure int64 // of the packet before

	start   *int64 // time of departure 0; nil means that of the first packet
	begins  bool   // the next packet with a timestamp is the first of a section
	started bool   // some packet had a timestamp
	span    Span   // of this section so far
	meanGap int64  // of the last section with a duration
	untimed bool   // this section has packets without a timestamp
	again   bool   // the previous section had only these

	outOfOrder  int64
	maxDisorder int64
}

// NewAxis returns the axis of a stream.
func NewAxis(scale TimeScale) *Axis {
	if scale.Speed == (Speed{}) {
		scale.Speed = Speed{1, 1}
	}
	return &Axis{scale: scale, meanGap: lonelyGap}
}

// StartAt makes time the time of departure 0, instead of that of the first packet, which is
// not before it.
func (a *Axis) StartAt(time int64) { a.start = &time }

// BeginSection means that the next packet is the first of a section.
func (a *Axis) BeginSection() {
	a.again = a.begins && a.untimed
	a.begins, a.untimed = true, false
}

// Departure returns when the next packet leaves, in nanoseconds from the first packet, or
// from the time of StartAt.
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

// OutOfOrder returns the number of packets that follow a later one of their section, and
// the largest disorder in nanoseconds.
func (a *Axis) OutOfOrder() (packets, most int64) { return a.outOfOrder, a.maxDisorder }

// advance moves position to the packet, and reports whether it may have moved.
func (a *Axis) advance(packet *stream.Packet) bool {
	switch {
	case packet.Untimed:
		return a.advanceUntimed()
	case !a.started:
		a.started = true
		if a.start != nil && packet.Time > *a.start {
			a.position = duration.After(a.position, distance(*a.start, packet.Time))
		}
		a.beginAt(packet.Time)
	case a.begins:
		a.position = duration.After(a.position, a.seam(packet.Time))
		a.beginAt(packet.Time)
	case packet.Time < a.span.latest:
		a.outOfOrder++
		a.maxDisorder = max(a.maxDisorder, distance(packet.Time, a.span.latest))
		a.span.add(packet.Time)
		return false
	default:
		a.position = duration.After(a.position, distance(a.span.latest, packet.Time))
		a.span.add(packet.Time)
	}
	return true
}

func (a *Axis) beginAt(time int64) {
	a.begins, a.span = false, Span{}
	a.span.add(time)
}

// advanceUntimed moves position between two sections without any timestamps, such as the
// rounds of a loop.
func (a *Axis) advanceUntimed() bool {
	moves := a.again
	a.untimed, a.again = true, false
	if moves {
		a.position = duration.After(a.position, a.meanGap)
	}
	return moves
}

// seam is the gap between the previous section and the one that starts at time.
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
