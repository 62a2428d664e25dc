package input

import (
	"fmt"
	"os"
	"time"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
)

// Outdated describes how a capture differs from its record.
type Outdated struct {
	Reason string
	Grown  bool // it has grown, and nothing else is known to have changed
}

// firstTolerance is the allowed difference between the first packet and its time in the
// record. A program that processed the record may have kept only milliseconds.
const firstTolerance = time.Millisecond

// CompareSize compares a size in bytes with the record. It returns nil if they agree, or if
// the record has no size.
func (s *Selected) CompareSize(size int64) *Outdated {
	if s.Size == nil || *s.Size == size {
		return nil
	}
	return &Outdated{fmt.Sprintf("wanted %s, got %d", plural.Of(*s.Size, "byte"), size), size > *s.Size}
}

// CompareFirst does the same with the time of the first packet.
func (s *Selected) CompareFirst(first int64) *Outdated {
	if s.First == nil {
		return nil
	}
	difference := max(*s.First, first) - min(*s.First, first)
	if difference >= 0 && difference <= int64(firstTolerance) { // below 0, it is over 63 bits
		return nil
	}
	return &Outdated{Reason: fmt.Sprintf("wanted a first packet of %s, got %s", record.Time(*s.First), record.Time(first))}
}

// CompareFileSize compares the size of the file, if it is there.
func (s *Selected) CompareFileSize() *Outdated {
	if s.Archive != "" || s.Path == "-" {
		return nil
	}
	info, err := os.Stat(s.Path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return s.CompareSize(info.Size())
}

// CompareMember compares a member of a tarball. A record without an offset may be that of
// another member with the same name. Members of a tarball do not grow.
func (s *Selected) CompareMember(m *archive.Member) *Outdated {
	if s.Offset == nil || *s.Offset != m.Offset {
		return nil
	}
	if o := s.CompareSize(m.Size); o != nil {
		o.Grown = false
		return o
	}
	if !m.Content.HasFirst {
		return nil
	}
	return s.CompareFirst(m.Content.First)
}

// Outdated is a capture that is not as its record says. One that has only grown may still
// be written, which is a warning; any other change makes the exit code 3.
func (p *Problems) Outdated(file File, o *Outdated) {
	if o.Grown {
		p.Messages.Warnf("%s: has grown since its record was made: %s (pcap-map makes a new record)", file.Display(), o.Reason)
	} else {
		p.Messages.Errorf("%s: has changed since its record was made: %s (pcap-map makes a new record)", file.Display(), o.Reason)
	}
	p.Report.Outdated(file.Path, file.Archive, o.Reason)
}
