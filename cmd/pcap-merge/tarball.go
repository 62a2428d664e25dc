package main

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/merge"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// tarball makes inputs of the captures in a tarball.
type tarball struct {
	merging *merging
	candidate
	wanted     input.Wanted
	hasMembers bool // it is a tarball, and not empty
	taken      int  // members that become inputs
}

func (m *merging) newTarball(c *candidate) *tarball {
	t := &tarball{merging: m, candidate: *c, wanted: input.Wanted{All: len(c.members) == 0}}
	for _, s := range c.members {
		t.wanted.AddRecord(&s)
	}
	return t
}

// addArchive makes inputs of the captures in a tarball. With an index, each one is read
// from its access point when it is due. Without one, all are read now, in one pass.
func (m *merging) addArchive(c *candidate) error {
	t := m.newTarball(c)
	indexed := m.archives.OpenIndexed(c.Path, m.openSparingly)
	if indexed == nil {
		m.recommendIndex(c.Path)
		m.sayReading(c.File)
		return t.end(m.archives.WalkUnindexed(c.Path, t.addMember))
	}
	m.run.OnEnd(func() { indexed.Close() })
	err := indexed.Each(func(member *archive.Member) error { return t.addIndexed(indexed, member) })
	m.archives.PassDamages(c.Path, indexed)
	return t.end(err)
}

// slowArchive is the size of a tarball, in bytes, from which reading it takes long enough to
// say so: about a second.
const slowArchive = 64 << 20

// recommendIndex says why the first packet of a large tarball takes long.
func (m *merging) recommendIndex(path string) {
	info, err := os.Stat(path)
	if err != nil || info.Size() < slowArchive || m.run.Messages.Quiet() {
		return
	}
	if _, err := os.Stat(archive.IndexPath(path)); !errors.Is(err, fs.ErrNotExist) {
		return // a message says why it is not used
	}
	m.run.Messages.Say(files.Display(path, "") + " has no index: all of it is read before the first packet is written")
	m.run.Messages.Hint("make an index: pcap-tarls --index " + files.Quote(path))
}

// openSparingly opens an archive that stays open until the run ends. The pool limits the
// descriptors, because there may be many archives.
func (m *merging) openSparingly(path string) (archive.Source, error) {
	if err := input.CheckRegular(path); err != nil {
		return nil, err
	}
	file, err := m.pool.Open(path)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// end reports err, which ended the reading of the tarball, and what was not found in it.
func (t *tarball) end(err error) error {
	m := t.merging
	isEmpty := err == nil && t.wanted.All && t.taken == 0
	if t.hasMembers && !isEmpty {
		m.sound++
	}
	switch {
	case err != nil && (errors.Is(err, tool.ErrReported) || m.run.Context.Err() != nil):
		return err
	case err != nil:
		m.problems.Failed(t.File, err)
		return m.problems.Stop()
	}
	if isEmpty {
		m.problems.Empty(t.Path, m.config.names)
	}
	for _, reason := range t.wanted.NotFound(t.Path) {
		m.problems.Failed(t.File, reason)
	}
	return m.problems.Check()
}

// wants reports whether a member is to be merged. It prints a message if the member should
// be merged, but cannot.
func (t *tarball) wants(member *archive.Member, inspect func()) (bool, error) {
	m := t.merging
	t.hasMembers = true
	if member.Type != archive.File {
		return false, nil
	}
	isWanted, exactly := t.wanted.Find(member)
	if !isWanted || t.wanted.All && !m.config.names.Want(member.Name) {
		return false, nil
	}
	inspect()
	if o := t.wanted.Compare(member); o != nil {
		m.problems.Outdated(t.member(member), o)
		if err := m.problems.Stop(); err != nil {
			return false, err
		}
	}
	if member.Content.IsCapture() || member.Size == 0 {
		t.taken++
		return true, nil
	}
	file := t.member(member)
	file.Found = !exactly
	if m.problems.NotCapture(file, stream.ErrNotCapture) {
		t.taken++
		return false, m.problems.Stop()
	}
	return false, nil
}

// member names a member in messages.
func (t *tarball) member(member *archive.Member) input.File {
	return input.File{Path: member.Name, Archive: t.Path}
}

// addMember makes an input of each section of a member that is being read.
func (t *tarball) addMember(reader archive.Walker, member *archive.Member) error {
	if wants, err := t.wants(member, reader.Inspect); !wants {
		return err
	}
	if err := t.merging.addSections(reader, t.member(member), t.wanted.ShiftsOf(member)); err != nil {
		return err
	}
	if t.wanted.IsComplete() {
		return input.ErrEnough
	}
	return nil
}

// addIndexed makes an input of a member, or one of each of its sections if it is known to
// have several.
func (t *tarball) addIndexed(indexed *archive.Indexed, member *archive.Member) error {
	m := t.merging
	if wants, err := t.wants(member, func() {}); !wants {
		return err
	}
	contents := memberContents(t.wanted.RecordsOf(member), member)
	if contents.Sections > 1 {
		src, err := indexed.Open(member)
		if err != nil {
			m.streamFailed(t.member(member), err)
			return m.problems.Stop()
		}
		defer src.Close()
		return m.addSections(src, t.member(member), t.wanted.ShiftsOf(member))
	}
	open := func() (io.ReadCloser, error) { return indexed.Open(member) }
	if m.config.align && contents.First == math.MinInt64 {
		if src, err := open(); err == nil { // an error is reported by the merge
			if first, ok, err := merge.FirstOf(src); ok && err == nil {
				contents.First = first
			}
			src.Close()
		}
	}
	m.sound++
	m.addInputs(t.wanted.ShiftsOf(member), contents.LinkTypes, m.captures.Input(member.Name, t.Path, contents, open))
	return nil
}

// memberContents returns the contents of a member according to its record, or according to
// the index if the record is outdated.
func memberContents(records []*input.Selected, member *archive.Member) merge.Contents {
	for _, r := range records {
		if r.First != nil && r.CompareMember(member) == nil {
			return contentsOf(r)
		}
	}
	c := merge.Contents{First: math.MinInt64, Earliest: math.MinInt64, Latest: math.MaxInt64, Disorder: merge.UnknownDisorder, LinkTypes: member.Content.LinkTypes}
	if member.Content.HasFirst {
		c.First = member.Content.First
	}
	return c
}
