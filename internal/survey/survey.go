// Package survey reads a capture once from start to end, and describes it.
package survey

import (
	"io"
	"math"
	"sync"

	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// MaxDamage is the number of damaged places that a survey lists. Further ones are only
// counted.
const MaxDamage = 100

// batchSize is the number of packets per call of Read: large enough to make the call cheap,
// and small enough to stay in the L1 cache.
const batchSize = 256

// batches are reused, because there may be many small captures.
var batches = sync.Pool{New: func() any { return new([batchSize]stream.Packet) }}

// Take reads r to its end and fills every field of the record except path, archive, offset
// and size. Several sections count as one capture. Rate collects the packets over time,
// unless it is nil.
//
// Damage in the capture is not an error: the record lists it. The error is what kept Take
// from reading on: one that wraps [stream.ErrNotCapture], or an error of the source. The
// record then holds what was read before.
func Take(r *stream.Reader, rate *Rate) (record.Capture, error) {
	s := survey{latest: math.MinInt64, rate: rate}
	err := s.read(r)
	return s.end(r), err
}

// survey is the state of Take.
type survey struct {
	capture   record.Capture
	rate      *Rate
	section   stream.Section // the latest one
	unlimited bool           // a section has no snaplen

	timed            bool // a packet had a time
	first, last      int64
	earliest, latest int64  // in nanoseconds
	disorder         uint64 // the largest, in nanoseconds
}

// read reads to the end of the capture, where it returns nil.
func (s *survey) read(r *stream.Reader) error {
	pooled := batches.Get().(*[batchSize]stream.Packet)
	defer batches.Put(pooled)
	batch := pooled[:]
	for {
		n, err := r.Read(batch)
		s.add(batch[:n])
		s.update(r.Section())
		switch damage, ok := err.(*stream.Damage); {
		case err == nil:
		case ok:
			s.addDamage(damage)
		case err == io.EOF:
			return nil
		default:
			return err
		}
	}
}

// add counts packets.
func (s *survey) add(packets []stream.Packet) {
	c := &s.capture
	c.Packets += int64(len(packets))
	for i := range packets {
		p := &packets[i]
		captured := uint32(len(p.Data))
		c.Bytes += int64(captured)
		c.WireBytes += int64(p.WireLength)
		c.MaxPacket = max(c.MaxPacket, captured)
		if captured < p.WireLength {
			c.Truncated++
		} else if captured > p.WireLength {
			c.Overlong++
		}
		if p.Untimed {
			c.Untimed++
			continue
		}
		if !s.timed {
			s.timed, s.first, s.earliest = true, p.Time, p.Time
		}
		s.last = p.Time
		if p.Time >= s.latest {
			s.latest = p.Time
		} else {
			c.OutOfOrder++
			s.disorder = max(s.disorder, uint64(s.latest)-uint64(p.Time)) // correct even beyond 63 bits
			s.earliest = min(s.earliest, p.Time)
		}
		if s.rate != nil {
			s.rate.add(p.Time)
		}
	}
}

// update takes the latest snapshot of the section, or the next section. The format and
// compression of the first section stand for all, since they rarely differ.
func (s *survey) update(section stream.Section) {
	switch {
	case section.Format == stream.FormatUnknown:
		return // none has begun
	case s.section.Format == stream.FormatUnknown:
		s.capture.Format, s.capture.Compression = section.Format.String(), section.Compression.String()
	case section.Index != s.section.Index:
		s.addSnaplen()
	}
	s.section = section
}

// addSnaplen takes the snaplen of a section when it has ended, because each interface may
// raise it.
func (s *survey) addSnaplen() {
	s.unlimited = s.unlimited || s.section.Snaplen == 0
	s.capture.Snaplen = max(s.capture.Snaplen, s.section.Snaplen)
}

func (s *survey) addDamage(d *stream.Damage) {
	c := &s.capture
	c.LostBytes += d.Lost
	if len(c.Damage) == MaxDamage {
		c.DamageUnlisted++
		return
	}
	c.Damage = append(c.Damage, record.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Record, Reason: d.Reason})
}

// end computes the sums.
func (s *survey) end(r *stream.Reader) record.Capture {
	c := &s.capture
	c.Sections = r.Sections()
	s.setLinkTypes(r.LinkTypes())
	for _, u := range r.UnknownBlocks() {
		c.UnknownBlocks = append(c.UnknownBlocks, record.UnknownBlocks(u))
	}
	if s.section.Format == stream.FormatUnknown {
		c.Format, c.Compression = stream.FormatUnknown.String(), stream.Uncompressed.String()
	} else if s.addSnaplen(); s.unlimited {
		c.Snaplen = 0
	}
	if !s.timed {
		return *c
	}
	c.First, c.Last = recordTime(s.first), recordTime(s.last)
	c.Earliest, c.Latest = recordTime(s.earliest), recordTime(s.latest)
	c.MaxDisorder = float64(s.disorder) / 1e9
	c.Duration = distance(s.earliest, s.latest) / 1e9
	if c.Duration > 0 {
		c.PPS = float64(c.Packets) / c.Duration
		c.BPS = float64(c.WireBytes) * 8 / c.Duration
	}
	return *c
}

func (s *survey) setLinkTypes(types []stream.LinkType) {
	if len(types) == 0 {
		return
	}
	first := uint16(types[0])
	s.capture.LinkType, s.capture.LinkName = &first, types[0].String()
	if len(types) == 1 {
		return
	}
	for _, linkType := range types {
		s.capture.LinkTypes = append(s.capture.LinkTypes, uint16(linkType))
	}
}

func recordTime(nanoseconds int64) *record.Time {
	t := record.Time(nanoseconds)
	return &t
}
