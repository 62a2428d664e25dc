package input

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/tool"
)

// Wanted has the selected members of a tarball, and records which were found.
type Wanted struct {
	All bool // every capture, because nothing was named

	patterns []*wantedPattern
	members  map[memberKey][]*wantedMember
	ordered  []*wantedMember // as they were named
	missing  int             // members that have not been found
}

type wantedPattern struct {
	*regexp.Regexp
	found bool
}

// wantedMember is a member that is named exactly.
type wantedMember struct {
	name   string
	offset *int64    // distinguishes members with the same name; nil for all of them
	record *Selected // nil where there is none
	found  bool
}

// memberKey is a name, and the offset of one of the members with this name, because there may
// be very many of them.
type memberKey struct {
	name      string
	offset    int64
	anyOffset bool
}

func (m *wantedMember) key() memberKey {
	if m.offset == nil {
		return memberKey{name: m.name, anyOffset: true}
	}
	return memberKey{name: m.name, offset: *m.offset}
}

// naming returns what names a member.
func (w *Wanted) naming(member *archive.Member) []*wantedMember {
	return slices.Concat(w.members[memberKey{name: member.Name, anyOffset: true}], w.members[memberKey{name: member.Name, offset: member.Offset}])
}

// AddPattern selects the members whose names match.
func (w *Wanted) AddPattern(pattern *regexp.Regexp) {
	w.patterns = append(w.patterns, &wantedPattern{Regexp: pattern})
}

// Add selects the members with a name.
func (w *Wanted) Add(name string) { w.add(&wantedMember{name: name}) }

// AddRecord selects the member of a record.
func (w *Wanted) AddRecord(s *Selected) {
	w.add(&wantedMember{name: s.Path, offset: s.Offset, record: s})
}

func (w *Wanted) add(m *wantedMember) {
	if w.members == nil {
		w.members = map[memberKey][]*wantedMember{}
	}
	w.members[m.key()] = append(w.members[m.key()], m)
	w.ordered = append(w.ordered, m)
	w.missing++
}

// Compare returns how a member differs from its record, or nil.
func (w *Wanted) Compare(member *archive.Member) *Outdated {
	for _, record := range w.RecordsOf(member) {
		if o := record.CompareMember(member); o != nil {
			return o
		}
	}
	return nil
}

// RecordsOf returns the records of a member.
func (w *Wanted) RecordsOf(member *archive.Member) (records []*Selected) {
	for _, m := range w.naming(member) {
		if m.record != nil {
			records = append(records, m.record)
		}
	}
	return records
}

// ShiftsOf returns by how much the records of a member move it, in nanoseconds: one for each
// record, and 0 if there is none.
func (w *Wanted) ShiftsOf(member *archive.Member) (shifts []int64) {
	for _, record := range w.RecordsOf(member) {
		shifts = append(shifts, record.Shift)
	}
	if len(shifts) == 0 {
		return []int64{0}
	}
	return shifts
}

// MayWant reports whether a member is selected, without counting it as found.
func (w *Wanted) MayWant(member *archive.Member) bool {
	if len(w.naming(member)) > 0 {
		return true
	}
	for _, p := range w.patterns {
		if p.MatchString(member.Name) {
			return true
		}
	}
	return w.All
}

// Find reports whether a member is selected, and whether by its exact name.
func (w *Wanted) Find(member *archive.Member) (wanted, exactly bool) {
	for _, m := range w.naming(member) {
		exactly = true
		if !m.found {
			m.found = true
			w.missing--
		}
	}
	wanted = exactly || w.All
	for _, p := range w.patterns {
		if p.MatchString(member.Name) {
			p.found, wanted = true, true
		}
	}
	return wanted, exactly
}

// HasPatterns reports whether patterns select members.
func (w *Wanted) HasPatterns() bool { return len(w.patterns) > 0 }

// HasNames reports whether named members have not been found yet.
func (w *Wanted) HasNames() bool { return w.missing > 0 }

// IsComplete reports whether no other member can be selected.
func (w *Wanted) IsComplete() bool { return !w.All && len(w.patterns) == 0 && w.missing == 0 }

// NotFound returns errors for what was selected, but is not in the tarball at path.
func (w *Wanted) NotFound(path string) (reasons []error) {
	list := "pcap-tarls --names " + files.Quote(path) + " lists the names"
	for _, p := range w.patterns {
		if !p.found {
			hint := cmp.Or(tool.PatternHint(p.String()), list)
			reasons = append(reasons, tool.WithHint(fmt.Errorf("no member matches \"%s\"", files.EscapeControls(p.String())), hint))
		}
	}
	for _, m := range w.ordered {
		switch {
		case m.found:
		case m.offset != nil:
			reasons = append(reasons, fmt.Errorf("no member at offset %d is named %q (pcap-map makes a new record)", *m.offset, m.name))
		default:
			reasons = append(reasons, tool.WithHint(fmt.Errorf("no member is named %q", m.name), list))
		}
	}
	return reasons
}
