package schedule

import (
	"math"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/stream"
)

// Span is the time from the first packet of a section to the latest one. Packets without a
// timestamp do not count.
type Span struct {
	first, latest int64
	timed         int64 // packets that have a timestamp
	packets       int64
}

// lonelyGap follows a section without a duration, which has one packet or only equal times.
// It keeps a loop over one packet from becoming a flood.
const lonelyGap = int64(time.Millisecond)

// Add adds the next packets of the section.
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

// IsEmpty reports whether the section has no packets.
func (s *Span) IsEmpty() bool { return s.packets == 0 }

// Latest is the time of the latest packet that has a timestamp, or 0 if none has.
func (s *Span) Latest() int64 { return s.latest }

// Round is the time from one round of a loop to the next, in nanoseconds: the section
// follows after the mean gap between two packets, or after a millisecond if it has no
// duration. It is at most [math.MaxInt64].
func (s *Span) Round() int64 {
	gap, ok := s.meanGap()
	if !ok {
		gap = lonelyGap
	}
	return duration.After(s.length(), gap)
}

func (s *Span) length() int64 { return distance(s.first, s.latest) }

// meanGap is the mean gap between two packets if the section has a duration.
func (s *Span) meanGap() (gap int64, ok bool) {
	if s.length() == 0 {
		return 0, false
	}
	return s.length() / (s.timed - 1), true
}

// distance is the time from earlier to later, at most [math.MaxInt64]: timestamps of pcapng
// span the whole range.
func distance(earlier, later int64) int64 {
	return int64(min(uint64(later)-uint64(earlier), math.MaxInt64))
}
