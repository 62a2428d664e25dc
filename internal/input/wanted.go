package input

import (
	"fmt"
	"regexp"

	"pcap-replay/internal/archive"
)

// Wanted is which members of a tarball are wanted, and which of those have been found.
type Wanted struct {
	All bool // every capture: nothing was named

	patterns []*wantedPattern
	members  map[string][]*wantedMember // by name
	ordered  []*wantedMember            // as they were named
	missing  int                        // of members, those that have not been found
}

type wantedPattern struct {
	*regexp.Regexp
	found bool
}

// wantedMember is one that is named exactly.
type wantedMember struct {
	name   string
	offset *int64    // tells members of one name apart; nil for all of them
	record *Selected // nil where there is none
	found  bool
}

func (m *wantedMember) is(member *archive.Member) bool {
	return m.offset == nil || *m.offset == member.Offset
}

// AddPattern wants the members whose name matches.
func (w *Wanted) AddPattern(pattern *regexp.Regexp) {
	w.patterns = append(w.patterns, &wantedPattern{Regexp: pattern})
}

// Add wants the members of a name.
func (w *Wanted) Add(name string) { w.add(&wantedMember{name: name}) }

// AddRecord wants the member that a record names.
func (w *Wanted) AddRecord(s *Selected) {
	w.add(&wantedMember{name: s.Path, offset: s.Offset, record: s})
}

func (w *Wanted) add(m *wantedMember) {
	if w.members == nil {
		w.members = map[string][]*wantedMember{}
	}
	w.members[m.name] = append(w.members[m.name], m)
	w.ordered = append(w.ordered, m)
	w.missing++
}

// Compare says how a member differs from its record; nil: not at all.
func (w *Wanted) Compare(member *archive.Member) *Outdated {
	for _, m := range w.members[member.Name] {
		if m.record == nil {
			continue
		}
		if o := m.record.CompareMember(member); o != nil {
			return o
		}
	}
	return nil
}

// MayWant says whether a member is wanted, without counting it as found.
func (w *Wanted) MayWant(member *archive.Member) bool {
	for _, m := range w.members[member.Name] {
		if m.is(member) {
			return true
		}
	}
	for _, p := range w.patterns {
		if p.MatchString(member.Name) {
			return true
		}
	}
	return w.All
}

// Find says whether a member is wanted, and whether that is by its exact name.
func (w *Wanted) Find(member *archive.Member) (wanted, exactly bool) {
	for _, m := range w.members[member.Name] {
		if !m.is(member) {
			continue
		}
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

// HasPatterns says whether members are wanted by patterns.
func (w *Wanted) HasPatterns() bool { return len(w.patterns) > 0 }

// HasNames says whether members that are named have not been found yet.
func (w *Wanted) HasNames() bool { return w.missing > 0 }

// IsComplete says that no other member can be wanted.
func (w *Wanted) IsComplete() bool { return !w.All && len(w.patterns) == 0 && w.missing == 0 }

// NotFound says what was wanted and is not in the tarball.
func (w *Wanted) NotFound() (reasons []string) {
	for _, p := range w.patterns {
		if !p.found {
			reasons = append(reasons, fmt.Sprintf("no member matches %q", p))
		}
	}
	for _, m := range w.ordered {
		switch {
		case m.found:
		case m.offset != nil:
			reasons = append(reasons, fmt.Sprintf("no member at offset %d is named %q (pcap-map makes a new record)", *m.offset, m.name))
		default:
			reasons = append(reasons, fmt.Sprintf("no member is named %q", m.name))
		}
	}
	return reasons
}
