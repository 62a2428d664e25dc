package cli

import (
	"fmt"
	"io/fs"
	"os"
	"time"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/record"
)

// outdated is how a capture differs from the record that was made of it.
type outdated struct {
	reason string
	grown  bool // it has got longer, and nothing else is known to have changed
}

// firstTolerance is how far the first packet may be from the time in its record.
// A program that handled the record may have kept milliseconds only.
const firstTolerance = time.Millisecond

// compareSize compares a size in bytes with the record. It gives nil where they
// agree, or where the record has none.
func (s *selected) compareSize(size int64) *outdated {
	if s.Size == nil || *s.Size == size {
		return nil
	}
	return &outdated{fmt.Sprintf("wanted %d bytes, got %d", *s.Size, size), size > *s.Size}
}

// compareFirst does the same with the time of the first packet.
func (s *selected) compareFirst(first int64) *outdated {
	if s.First == nil {
		return nil
	}
	difference := max(*s.First, first) - min(*s.First, first)
	if difference >= 0 && difference <= int64(firstTolerance) { // below 0, it is over 63 bits
		return nil
	}
	return &outdated{reason: fmt.Sprintf("wanted a first packet of %s, got %s", record.Time(*s.First), record.Time(first))}
}

// compareFileSize compares the size of the file, if it is there.
func (s *selected) compareFileSize() *outdated {
	if s.Archive != "" || s.Path == "-" {
		return nil
	}
	info, err := os.Stat(s.Path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return s.compareSize(info.Size())
}

// compareMember compares a member of a tarball. A record without an offset may be
// about another member of that name. A tarball does not grow inside.
func (s *selected) compareMember(m *archive.Member) *outdated {
	if s.Offset == nil || *s.Offset != m.Offset {
		return nil
	}
	if o := s.compareSize(m.Size); o != nil {
		o.grown = false
		return o
	}
	if !m.Content.HasFirst {
		return nil
	}
	return s.compareFirst(m.Content.First)
}

// compareFile compares a file with its record. A file that has grown and begins as
// before is only longer.
func (m *mergeRun) compareFile(s *selected, info fs.FileInfo) (*outdated, error) {
	size := s.compareSize(info.Size())
	if s.First == nil || size != nil && !size.grown {
		return size, nil
	}
	first, ok, err := m.captures.First(s.Path)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return &outdated{reason: fmt.Sprintf("wanted a first packet of %s, got none", record.Time(*s.First))}, nil
	}
	if o := s.compareFirst(first); o != nil {
		return o, nil
	}
	return size, nil
}

// sayOutdated says that a capture is not as its record says. One that has only grown
// may still be written; any other change makes the exit code 3.
func (j *job) sayOutdated(in input, o *outdated) {
	if o.grown {
		j.warnf("%s: has grown since its record was made: %s (pcap-map makes a new record)", in.display(), o.reason)
	} else {
		j.damaged.Store(true)
		j.errorf("%s: has changed since its record was made: %s (pcap-map makes a new record)", in.display(), o.reason)
	}
	j.report.event(record.Outdated{
		Event: "outdated", Tool: j.tool.Name, Path: in.path, PathRaw: record.RawName(in.path),
		Archive: in.archive, ArchiveRaw: record.RawName(in.archive), Reason: o.reason,
	})
}
