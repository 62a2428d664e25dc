package cli

import (
	"fmt"
	"os"
	"regexp"

	"pcap-replay/internal/archive"
)

// archiveChoice is what is wanted of one tarball.
type archiveChoice struct {
	path string
	choice
}

// archiveChoices reads what is wanted of which tarball.
func (j *job) archiveChoices() ([]archiveChoice, error) {
	operands := j.operands()
	path := "-"
	if len(operands) > 0 {
		path, operands = operands[0], operands[1:]
	}
	patterns, err := parsePatterns("regular expression", operands)
	if err != nil {
		return nil, err
	}
	wanted := archiveChoice{path: path}
	for _, pattern := range patterns {
		wanted.patterns = append(wanted.patterns, &wantedPattern{Regexp: pattern})
	}
	for _, name := range j.flags.StringSlice("name") {
		wanted.add(name)
	}
	if j.flags.IsSet("select") {
		return j.selectMembers(wanted, len(j.operands()) > 0)
	}
	wanted.all = len(patterns) == 0 && wanted.missing == 0
	return []archiveChoice{wanted}, nil
}

// selectMembers adds the members of --select. Without an operand the records say
// in which tarballs they are.
func (j *job) selectMembers(wanted archiveChoice, named bool) ([]archiveChoice, error) {
	file := j.flags.String("select")
	if named && file == "-" && wanted.path == "-" {
		return nil, usageErrorf("stdin cannot be both the tarball and the records of --select")
	}
	selection, err := j.readSelection(file)
	if err != nil {
		return nil, err
	}
	if named {
		err := wanted.addSelection(selection)
		return []archiveChoice{wanted}, err
	}
	if wanted.missing > 0 {
		return nil, usageErrorf("--name beside --select wants the tarball as an operand")
	}
	var choices []archiveChoice
	places := map[string]int{}
	for _, s := range selection {
		if s.Archive == "" || s.Archive == "-" {
			return nil, usageErrorf("--select: the record of %q does not say in which file the tarball is", s.Path).
				withHint("name the tarball as an operand")
		}
		place, known := places[s.Archive]
		if !known {
			place = len(choices)
			places[s.Archive] = place
			choices = append(choices, archiveChoice{path: s.Archive})
		}
		choices[place].addRecord(&s)
	}
	return choices, nil
}

// addSelection adds the records that are about this tarball. Those from stdin, or
// that name none, are taken to be.
func (c *archiveChoice) addSelection(selection []selected) error {
	others := ""
	for _, s := range selection {
		if s.Archive == "" || s.Archive == "-" || c.path == "-" || isSameFile(s.Archive, c.path) {
			c.addRecord(&s)
		} else {
			others = s.Archive
		}
	}
	if c.missing == 0 && others != "" {
		return usageErrorf("--select: the records are about %q, not about %q", others, c.path)
	}
	return nil
}

func isSameFile(a, b string) bool {
	if a == b {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// choice is which members of a tarball are wanted.
type choice struct {
	patterns []*wantedPattern
	members  map[string][]*wantedMember // by name
	inOrder  []*wantedMember
	missing  int  // of members, those that have not come by
	all      bool // nothing was named: every capture
}

type wantedPattern struct {
	*regexp.Regexp
	found bool
}

// wantedMember is one that is named exactly.
type wantedMember struct {
	name   string
	offset *int64    // tells members of one name apart; nil for all of them
	record *selected // nil where there is none
	found  bool
}

func (c *choice) add(name string) { c.addMember(&wantedMember{name: name}) }

func (c *choice) addRecord(s *selected) {
	c.addMember(&wantedMember{name: s.Path, offset: s.Offset, record: s})
}

func (c *choice) addMember(w *wantedMember) {
	if c.members == nil {
		c.members = map[string][]*wantedMember{}
	}
	c.members[w.name] = append(c.members[w.name], w)
	c.inOrder = append(c.inOrder, w)
	c.missing++
}

// compare says how a member differs from its record; nil: not at all.
func (c *choice) compare(m *archive.Member) *outdated {
	for _, w := range c.members[m.Name] {
		if w.record == nil {
			continue
		}
		if o := w.record.compareMember(m); o != nil {
			return o
		}
	}
	return nil
}

// mayWant says whether a member is wanted, without taking note of it.
func (c *choice) mayWant(m *archive.Member) bool {
	for _, w := range c.members[m.Name] {
		if w.offset == nil || *w.offset == m.Offset {
			return true
		}
	}
	for _, p := range c.patterns {
		if p.MatchString(m.Name) {
			return true
		}
	}
	return c.all
}

// wants says whether a member is wanted, and whether that is by its exact name.
func (c *choice) wants(m *archive.Member) (wanted, exactly bool) {
	for _, w := range c.members[m.Name] {
		if w.offset != nil && *w.offset != m.Offset {
			continue
		}
		exactly = true
		if !w.found {
			w.found = true
			c.missing--
		}
	}
	wanted = exactly || c.all
	for _, p := range c.patterns {
		if p.MatchString(m.Name) {
			p.found, wanted = true, true
		}
	}
	return wanted, exactly
}

// isComplete says that no other member can be wanted.
func (c *choice) isComplete() bool { return !c.all && len(c.patterns) == 0 && c.missing == 0 }

// notFound says what was asked for and is not in the tarball.
func (c *choice) notFound() (reasons []string) {
	for _, p := range c.patterns {
		if !p.found {
			reasons = append(reasons, fmt.Sprintf("no member matches %q", p))
		}
	}
	for _, w := range c.inOrder {
		switch {
		case w.found:
		case w.offset != nil:
			reasons = append(reasons, fmt.Sprintf("no member at offset %d is named %q (pcap-map makes a new record)", *w.offset, w.name))
		default:
			reasons = append(reasons, fmt.Sprintf("no member is named %q", w.name))
		}
	}
	return reasons
}
