package schedule

import (
	"math"
	"time"

	"pcap-replay/stream"
)

// Span is the time that the packets of one section take: from the first one to the
// latest one. Packets without a timestamp take none.
type Span struct {
	first, latest int64
	timed         int64 // packets that have a timestamp
	packets       int64
}

// lonelyGap follows a section that takes no time, because it has one packet or all at
// the same time: a loop over one packet is no flood.
const lonelyGap = int64(time.Millisecond)

// Add takes in the next packets of the section.
func (s *Span) Add(packets []stream.Packet) {
	s.packets += int64(len(packets))
	for i := range packets {
		if !packets[i].Untimed {
			s.add(packets[i].Time)
		}
	}
}

func (s *Span) add(time int64) {
	if s.timed == 0 {
		s.first, s.latest = time, time
	}
	s.latest = max(s.latest, time)
	s.timed++
}

// IsEmpty says that the section has no packets.
func (s *Span) IsEmpty() bool { return s.packets == 0 }

// Round is how much later than the section the same section begins in the next round
// of a loop, in nanoseconds: it follows after the mean gap between two packets, or after
// a millisecond where the section takes no time. It is at most [math.MaxInt64].
func (s *Span) Round() int64 {
	gap, ok := s.meanGap()
	if !ok {
		gap = lonelyGap
	}
	return Later(s.length(), gap)
}

func (s *Span) length() int64 { return distance(s.first, s.latest) }

// meanGap is the mean gap between two packets, unless the section takes no time.
func (s *Span) meanGap() (gap int64, ok bool) {
	if s.length() == 0 {
		return 0, false
	}
	return s.length() / (s.timed - 1), true
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
