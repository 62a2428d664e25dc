package cli

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/merge"
	"pcap-replay/stream"
)

// candidate is a file, stream or archive on its way to becoming inputs.
type candidate struct {
	input
	info     fs.FileInfo // nil for stdin
	record   *selected   // of the file; nil where there is none
	outdated *outdated   // how the file differs from it; nil where it does not
	contents merge.Contents
	members  []selected // of an archive, those that records name; nil for all
	archive  bool
	err      error // of the peek
}

// collect finds out what there is to merge. Streams are read here.
func (m *mergeRun) collect(selection []selected) error {
	candidates, err := m.candidates(selection)
	if err != nil {
		return err
	}
	m.progress.start(timesSize(m.totalOf(candidates), m.loop), nil)
	m.peek(candidates)
	for i := range candidates {
		if m.ctx.Err() != nil {
			return m.ctx.Err()
		}
		if err := m.add(&candidates[i]); err != nil {
			return err
		}
	}
	return nil
}

// candidates lists the selection and then the operands. Without either, stdin is
// read.
func (m *mergeRun) candidates(selection []selected) ([]candidate, error) {
	list := m.fromSelection(selection)
	if m.flags.IsSet("select") && len(m.operands()) == 0 {
		return list, nil
	}
	operands, failed, err := m.expandOperands(m.operands(), m.names)
	m.named += failed
	switch {
	case err != nil:
		return nil, err
	case failed > 0 && m.strict:
		return nil, errReported
	}
	for _, in := range operands {
		list = append(list, candidate{input: in})
	}
	return list, nil
}

// errStdinGone is for records that were made of stdin.
var errStdinGone = errors.New("cannot be selected: it is read only once")

// fromSelection groups the members of one archive, which is read in one pass, and
// leaves out captures of which all packets are out of range. A file of another size
// than its record says may have packets in the range by now.
func (m *mergeRun) fromSelection(selection []selected) (list []candidate) {
	archives := map[string]int{}
	for _, s := range selection {
		outOfRange := s.Latest != nil && *s.Latest < m.sieve.from || s.Earliest != nil && *s.Earliest >= m.sieve.to
		if outOfRange && s.compareFileSize() == nil {
			continue
		}
		if s.IsOther {
			m.notCapture(input{path: s.Path, archive: s.Archive, found: true}, stream.ErrNotCapture)
			continue
		}
		if s.Archive == "" {
			list = append(list, m.selectedFile(s))
			continue
		}
		place, ok := archives[s.Archive]
		if !ok {
			place = len(list)
			archives[s.Archive] = place
			c := candidate{input: input{path: s.Archive}, archive: true}
			if s.Archive == "-" {
				c.err = errStdinGone
			}
			list = append(list, c)
		}
		list[place].members = append(list[place].members, s)
	}
	return list
}

func (m *mergeRun) selectedFile(s selected) candidate {
	c := candidate{input: input{path: s.Path}, record: &s}
	if s.Path == "-" {
		c.err = errStdinGone
	}
	return c
}

// contents is what a record with the time of the first packet says.
func (s *selected) contents() merge.Contents {
	c := merge.Contents{First: *s.First, Earliest: math.MinInt64, Disorder: merge.UnknownDisorder, Sections: s.Sections}
	if s.Earliest != nil {
		c.Earliest = *s.Earliest
	}
	if s.LinkType != nil {
		c.LinkType, c.HasLinkType = stream.LinkType(*s.LinkType), true
		c.LinkTypes = []stream.LinkType{c.LinkType}
	}
	if s.OutOfOrder != nil {
		// A record has seconds, which are rounded; a microsecond more does no harm.
		c.Disorder = 0
		if *s.OutOfOrder > 0 {
			c.Disorder = int64(min(s.MaxDisorder, float64(math.MaxInt32))*1e9) + 1000
		}
	}
	return c
}

func (m *mergeRun) totalOf(candidates []candidate) int64 {
	paths := make([]string, len(candidates))
	for i, c := range candidates {
		paths[i] = c.path
	}
	return m.totalSize(paths)
}

// peek looks into all regular files at once.
func (m *mergeRun) peek(candidates []candidate) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for m.ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(candidates) {
					return
				}
				m.peekOne(&candidates[i])
			}
		})
	}
	workers.Wait()
}

func (m *mergeRun) peekOne(c *candidate) {
	if c.path == "-" || c.archive || c.err != nil {
		return
	}
	if c.info, c.err = os.Stat(c.path); c.err != nil || !c.info.Mode().IsRegular() {
		return
	}
	if c.record != nil && m.believe(c) {
		return
	}
	if c.contents, c.err = m.captures.Peek(c.path); errors.Is(c.err, stream.ErrNotCapture) && isArchiveFile(c.path) {
		c.archive, c.err = true, nil
	}
}

// believe takes the contents of a file from its record, and says whether that is
// possible. The record has to have the time of the first packet, and has to fit the
// file as it is now: the merge opens a file when its first packet is due, so an old
// record would put the packets of a new file out of order. A file with an outdated
// record is looked at like one that has none.
func (m *mergeRun) believe(c *candidate) bool {
	var err error
	if c.outdated, err = m.compareFile(c.record, c.info); err != nil || c.outdated != nil || c.record.First == nil {
		return false
	}
	c.contents = c.record.contents()
	return true
}

// add makes inputs of a candidate, or says why not.
func (m *mergeRun) add(c *candidate) error {
	err := c.err
	if err == nil && c.info != nil && m.isStdout(c.info) {
		err = errors.New("is also the output")
	}
	if errors.Is(err, stream.ErrNotCapture) {
		if !m.notCapture(c.input, err) {
			return nil
		}
		m.named++
		return m.strictly()
	}
	m.named++
	if err == nil && c.outdated != nil {
		m.sayOutdated(c.input, c.outdated)
		if m.strict && !c.outdated.grown {
			return errReported
		}
	}
	switch {
	case err != nil:
		m.inputFailed(c.path, err)
		return m.strictly()
	case c.archive:
		return m.addArchive(c)
	case c.path == "-" || !c.info.Mode().IsRegular() || c.contents.Sections > 1:
		return m.addStream(c)
	}
	m.sound++
	m.inputs = append(m.inputs, m.captures.File(c.path, c.contents))
	m.linkTypes = append(m.linkTypes, c.contents.LinkTypes...)
	return nil
}

// strictly ends the run after a failure that has been said, if --strict is set.
func (m *mergeRun) strictly() error {
	if m.strict {
		return errReported
	}
	return nil
}

// addStream reads a stream, each section of which is an input, or each of the
// captures in a tarball.
func (m *mergeRun) addStream(c *candidate) error {
	file, err := m.openInput(c.path)
	if err != nil {
		var usage *usageError
		if errors.As(err, &usage) {
			return err
		}
		m.inputFailed(c.path, err)
		return m.strictly()
	}
	defer file.Close()
	src, tarball := tellTarball(&archiveSource{ctx: m.ctx, file: file, progress: m.progress})
	if tarball {
		return m.addMembers(c, func(visit memberVisitor) error { return m.walkTarball(c.path, src, visit) })
	}
	return m.addSections(src, c.path, "")
}

// addSections makes a run of each section of a capture that is read only once.
func (m *mergeRun) addSections(src io.Reader, path, inArchive string) error {
	failed := false
	added, err := m.runs.Add(io.NopCloser(src), path, inArchive, func(err error) error {
		if m.ctx.Err() != nil {
			return m.ctx.Err()
		}
		var damage *stream.Damage
		if errors.As(err, &damage) {
			m.damage(path, inArchive, damage)
			return m.strictly()
		}
		failed = true
		m.streamFailed(path, inArchive, err)
		return m.strictly()
	})
	if !failed || added.Sections > 0 {
		m.sound++
	}
	m.inputs = append(m.inputs, added.Inputs...)
	m.linkTypes = append(m.linkTypes, added.LinkTypes...)
	return err
}

// streamFailed says why a stream, or the member of an archive, ends early.
func (m *mergeRun) streamFailed(path, inArchive string, err error) {
	if inArchive == "" {
		m.inputFailed(path, err)
	} else if err := m.archiveError(inArchive, err); err != nil {
		m.memberFailed(inArchive, path, err)
	}
}

// addArchive makes inputs of the captures in a tarball. With an index each is read
// at its own place when its time comes; without, all are read now, in one pass.
func (m *mergeRun) addArchive(c *candidate) error {
	indexed := m.openIndexed(c.path, m.openSparingly)
	if indexed == nil {
		return m.addMembers(c, func(visit memberVisitor) error { return m.walkArchive(c.path, visit) })
	}
	m.onEnd(func() { indexed.Close() })
	records := map[string][]selected{}
	for _, s := range c.members {
		records[s.Path] = append(records[s.Path], s)
	}
	return m.addWanted(c, func(wanted *choice, found *bool) error {
		return indexed.Each(func(member *archive.Member) error {
			*found = true
			return m.addIndexed(c, wanted, indexed, member, records[member.Name])
		})
	})
}

// memberVisitor is called for each member of a tarball that is walked through.
type memberVisitor = func(*archive.Reader, *archive.Member) error

// addMembers reads the captures in a tarball in one pass.
func (m *mergeRun) addMembers(c *candidate, walk func(memberVisitor) error) error {
	return m.addWanted(c, func(wanted *choice, found *bool) error {
		return walk(func(reader *archive.Reader, member *archive.Member) error {
			*found = true
			return m.addMember(c, wanted, reader, member)
		})
	})
}

// addWanted has add take the wanted members of a tarball, and says which are not
// found.
func (m *mergeRun) addWanted(c *candidate, add func(wanted *choice, found *bool) error) error {
	wanted := choice{all: len(c.members) == 0}
	for _, s := range c.members {
		wanted.addRecord(&s)
	}
	found := false
	err := add(&wanted, &found)
	if found {
		m.sound++
	}
	switch {
	case err != nil && (errors.Is(err, errReported) || m.ctx.Err() != nil):
		return err
	case err != nil:
		m.inputFailed(c.path, err)
		return m.strictly()
	}
	for _, reason := range wanted.notFound() {
		m.inputFailed(c.path, errors.New(reason))
	}
	if m.damaged.Load() {
		return m.strictly()
	}
	return nil
}

// openSparingly opens an archive that stays open until the run ends, as many others
// may: their descriptors are bounded as those of captures are.
func (m *mergeRun) openSparingly(path string) (archive.Source, error) {
	file, err := m.files.Open(path)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// wantsMember says whether a member is to be merged, and says so if it should be
// and cannot.
func (m *mergeRun) wantsMember(c *candidate, wanted *choice, member *archive.Member, inspect func()) (bool, error) {
	if member.Type != archive.File {
		return false, nil
	}
	taken, exactly := wanted.wants(member)
	if !taken || wanted.all && !m.names.wants(member.Name) {
		return false, nil
	}
	inspect()
	if o := wanted.compare(member); o != nil {
		m.sayOutdated(input{path: member.Name, archive: c.path}, o)
		if err := m.strictly(); err != nil {
			return false, err
		}
	}
	if member.Content.IsCapture() || member.Size == 0 {
		return true, nil
	}
	if m.notCapture(input{path: member.Name, archive: c.path, found: !exactly}, stream.ErrNotCapture) {
		return false, m.strictly()
	}
	return false, nil
}

func (m *mergeRun) addMember(c *candidate, wanted *choice, reader *archive.Reader, member *archive.Member) error {
	if wants, err := m.wantsMember(c, wanted, member, reader.Inspect); !wants {
		return err
	}
	if err := m.addSections(reader, member.Name, c.path); err != nil {
		return err
	}
	if wanted.isComplete() {
		return errEnough
	}
	return nil
}

// addIndexed makes an input of a member, or one of each of its sections if it is
// known to have several.
func (m *mergeRun) addIndexed(c *candidate, wanted *choice, indexed *archive.Indexed, member *archive.Member, records []selected) error {
	if wants, err := m.wantsMember(c, wanted, member, func() {}); !wants {
		return err
	}
	contents := memberContents(records, member)
	if contents.Sections > 1 {
		src, err := indexed.Open(member)
		if err != nil {
			m.streamFailed(member.Name, c.path, err)
			return m.strictly()
		}
		defer src.Close()
		return m.addSections(src, member.Name, c.path)
	}
	m.sound++
	m.inputs = append(m.inputs, m.captures.Input(member.Name, c.path, contents, func() (io.ReadCloser, error) {
		return indexed.Open(member)
	}))
	m.linkTypes = append(m.linkTypes, contents.LinkTypes...)
	return nil
}

// memberContents is what one of the records of that name says of a member, unless it
// is outdated, or else what the index says.
func memberContents(records []selected, member *archive.Member) merge.Contents {
	for i := range records {
		if r := &records[i]; r.First != nil && (r.Offset == nil || *r.Offset == member.Offset) && r.compareMember(member) == nil {
			return r.contents()
		}
	}
	c := merge.Contents{First: math.MinInt64, Earliest: math.MinInt64, Disorder: merge.UnknownDisorder, LinkTypes: member.Content.LinkTypes}
	if member.Content.HasFirst {
		c.First = member.Content.First
	}
	return c
}
