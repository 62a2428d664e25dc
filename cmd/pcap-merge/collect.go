package main

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/merge"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// candidate is a file, a stream or an archive that will become inputs.
type candidate struct {
	input.File
	record    *input.Selected  // of the file; nil where there is none
	peeked    *peeked          // from peek to add; nil for stdin and archives
	members   []input.Selected // of an archive, those that records name; nil for all
	isArchive bool
	err       error // of peek
}

// peeked is what peek has read at the beginning of a file.
type peeked struct {
	info     fs.FileInfo
	outdated *input.Outdated // how the file differs from its record; nil where it does not
	contents merge.Contents
}

// peekBatch is how many files are peeked at before inputs are made of them. What is known of a
// file takes half a KiB until then, so 4,096 files take 2 MiB.
const peekBatch = 4096

// collect finds out what there is to merge: the selection and then the operands. Streams
// are read here. At the end it is known by how much each input is shifted.
func (m *merging) collect() error {
	m.warnRepeated(m.config.selection)
	selected := m.fromSelection(m.config.selection)
	named, err := m.operands()
	if err != nil {
		return err
	}
	m.run.Progress.Start(input.TimesSize(m.sizeOf(selected, named), m.config.loop), nil)
	defer m.run.Progress.Stage("")
	if err := m.addAll(selected); err != nil {
		return err
	}
	candidates := make([]candidate, 0, min(named.Len(), peekBatch))
	for first := 0; first < named.Len(); first += peekBatch {
		candidates = candidates[:0]
		for i := first; i < min(first+peekBatch, named.Len()); i++ {
			candidates = append(candidates, candidate{File: named.At(i)})
		}
		if err := m.addAll(candidates); err != nil {
			return err
		}
		named.Forget(first) // m.captures has their names, too
	}
	return merge.ShiftAll(m.inputs, m.config.align)
}

// addAll makes inputs of candidates.
func (m *merging) addAll(candidates []candidate) error {
	for batch := range slices.Chunk(candidates, peekBatch) {
		m.peek(batch)
		for i := range batch {
			if m.run.Context.Err() != nil {
				return m.run.Context.Err()
			}
			if err := m.add(&batch[i]); err != nil {
				return err
			}
			batch[i].peeked = nil
		}
	}
	return nil
}

// operands lists the files that the operands name. Without them and a selection, stdin is
// read.
func (m *merging) operands() (*input.FileList, error) {
	if m.config.selects && len(m.run.Flags.Operands()) == 0 {
		return new(input.FileList), nil
	}
	found, failed, err := m.opener.Expand(m.run.Flags.Operands(), m.config.names, m.problems)
	m.named += failed
	switch {
	case err != nil:
		return nil, err
	case failed > 0 && m.problems.Strict:
		return nil, tool.ErrReported
	}
	return found, nil
}

// errStdinGone is the error of a record that names stdin.
var errStdinGone = errors.New("cannot be selected, because it can be read only once")

// selectedCapture is what a record adds to the merge.
type selectedCapture struct {
	archive, path string
	offset, shift int64
}

// warnRepeated warns of two records that have the same capture and the same shift.
func (m *merging) warnRepeated(selection []input.Selected) {
	seed := maphash.MakeSeed()
	seen := make(map[uint64]struct{}, len(selection)) // hashes take less memory than names
	for _, s := range selection {
		capture := selectedCapture{archive: s.Archive, path: s.Path, shift: s.Shift}
		if s.Offset != nil {
			capture.offset = *s.Offset
		}
		hash := maphash.Comparable(seed, capture)
		if _, repeated := seen[hash]; repeated {
			m.run.Messages.Warnf("%s: two records have this capture with the same shift, so its packets are merged twice", files.Display(s.Path, s.Archive))
			return
		}
		seen[hash] = struct{}{}
	}
}

// fromSelection groups the members of an archive, which is read in one pass, and leaves out
// captures whose packets are all out of range. It keeps a file whose size has changed,
// because it may now have packets in the range.
func (m *merging) fromSelection(selection []input.Selected) (list []candidate) {
	archives := map[string]int{}
	for _, s := range selection {
		earliest, latest := s.Range()
		if !m.config.align && m.config.selector.excludes(earliest, latest) && s.CompareFileSize() == nil {
			m.excluded++
			m.config.selector.leftOut.Widen(earliest, latest)
			continue
		}
		if s.IsOther {
			m.problems.NotCapture(input.File{Path: s.Path, Archive: s.Archive, Found: true}, stream.ErrNotCapture)
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
			c := candidate{File: input.File{Path: s.Archive}, isArchive: true}
			if c.err = input.CheckRecorded(s.Archive); s.Archive == "-" {
				c.err = errStdinGone
			}
			list = append(list, c)
		}
		list[place].members = append(list[place].members, s)
	}
	return list
}

func (m *merging) selectedFile(s input.Selected) candidate {
	c := candidate{File: input.File{Path: s.Path}, record: &s}
	if c.err = input.CheckRecorded(s.Path); s.Path == "-" {
		c.err = errStdinGone
	}
	return c
}

// contentsOf returns the contents according to a record with the time of the first packet.
func contentsOf(s *input.Selected) merge.Contents {
	c := merge.Contents{First: *s.First, Earliest: math.MinInt64, Latest: math.MaxInt64, Disorder: merge.UnknownDisorder, Sections: s.Sections}
	if s.Earliest != nil {
		c.Earliest = *s.Earliest
	}
	if s.Latest != nil {
		c.Latest = *s.Latest
	}
	if s.LinkType != nil {
		c.LinkType, c.HasLinkType = stream.LinkType(*s.LinkType), true
		c.LinkTypes = []stream.LinkType{c.LinkType}
	}
	if s.OutOfOrder != nil {
		// The seconds of a record are rounded, so a microsecond is added.
		c.Disorder = 0
		if *s.OutOfOrder > 0 {
			c.Disorder = int64(min(s.MaxDisorder, float64(math.MaxInt32))*1e9) + 1000
		}
	}
	return c
}

// sizeOf is the number of bytes to read, or -1 if it is unknown.
func (m *merging) sizeOf(selected []candidate, named *input.FileList) int64 {
	return m.opener.Size(func(yield func(path string) bool) {
		for _, c := range selected {
			if !yield(c.Path) {
				return
			}
		}
		named.Paths()(yield)
	})
}

// peek reads the beginning of all regular files at the same time.
func (m *merging) peek(candidates []candidate) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			reader := m.captures.NewPeeker()
			defer reader.Close()
			for m.run.Context.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(candidates) {
					return
				}
				m.peekOne(&candidates[i], reader)
			}
		})
	}
	workers.Wait()
}

func (m *merging) peekOne(c *candidate, reader *merge.Peeker) {
	if c.Path == "-" || c.isArchive || c.err != nil {
		return
	}
	var info fs.FileInfo
	if info, c.err = os.Stat(c.Path); c.err != nil {
		return
	}
	c.peeked = &peeked{info: info}
	if !info.Mode().IsRegular() {
		return
	}
	if info.Size() == 0 && !c.IsCaptureIfEmpty() {
		c.err = input.ErrEmpty
		return
	}
	if c.record != nil && m.useRecord(c) {
		return
	}
	if c.peeked.contents, c.err = reader.Peek(c.Path); errors.Is(c.err, stream.ErrNotCapture) && archive.IsFile(c.Path) {
		c.isArchive, c.err = true, nil
	}
}

// useRecord takes the contents of a file from its record, and reports whether this is
// possible. The record must have the time of the first packet, and must match the file as
// it is now: the merge opens a file when its first packet is due, so an outdated record
// would put packets out of order. A file with an outdated record is read like a file
// without a record.
func (m *merging) useRecord(c *candidate) bool {
	var err error
	p := c.peeked
	if p.outdated, err = m.compareFile(c.record, p.info); err != nil || p.outdated != nil || c.record.First == nil {
		return false
	}
	p.contents = contentsOf(c.record)
	return true
}

// compareFile compares a file with its record. A file that has grown, but begins as before,
// counts as the same file.
func (m *merging) compareFile(s *input.Selected, info fs.FileInfo) (*input.Outdated, error) {
	size := s.CompareSize(info.Size())
	if s.First == nil || size != nil && !size.Grown {
		return size, nil
	}
	first, ok, err := m.captures.First(s.Path)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return &input.Outdated{Reason: fmt.Sprintf("wanted a first packet of %s, got none", record.Time(*s.First))}, nil
	}
	if o := s.CompareFirst(first); o != nil {
		return o, nil
	}
	return size, nil
}

// add makes inputs of a candidate, or reports why it cannot.
func (m *merging) add(c *candidate) error {
	err := c.err
	if err == nil && c.peeked != nil && m.opener.IsStdout(c.peeked.info) {
		err = input.ErrIsOutput
	}
	if errors.Is(err, stream.ErrNotCapture) {
		if !m.problems.NotCapture(c.File, err) {
			return nil
		}
		m.named++
		return m.problems.Stop()
	}
	m.named++
	if err == nil && c.peeked != nil && c.peeked.outdated != nil {
		m.problems.Outdated(c.File, c.peeked.outdated)
		if m.problems.Strict && !c.peeked.outdated.Grown {
			return tool.ErrReported
		}
	}
	switch {
	case err != nil:
		m.problems.Failed(c.File, err)
		return m.problems.Stop()
	case c.isArchive:
		return m.addArchive(c)
	case c.Path == "-" || !c.peeked.info.Mode().IsRegular() || c.peeked.contents.Sections > 1:
		return m.addStream(c)
	}
	m.sound++
	m.addInputs(c.shifts(), c.peeked.contents.LinkTypes, m.captures.File(c.Path, c.peeked.contents))
	return nil
}

// shifts has by how much the record of a file moves it, in nanoseconds.
func (c *candidate) shifts() []int64 {
	if c.record == nil {
		return []int64{0}
	}
	return []int64{c.record.Shift}
}

// addInputs adds inputs, once with each shift. The output has the first of the link types that
// their headers name.
func (m *merging) addInputs(shifts []int64, linkTypes []stream.LinkType, inputs ...*merge.Input) {
	for _, shift := range shifts {
		for _, in := range inputs {
			shifted := *in
			shifted.Shift = shift
			m.inputs = append(m.inputs, &shifted)
		}
	}
	m.inputCount.Store(int64(len(m.inputs)))
	if !m.hasLinkType && len(linkTypes) > 0 {
		m.config.writer.LinkType, m.hasLinkType = linkTypes[0], true
	}
}

// addStream reads a stream. Each of its sections, or each capture of a tarball, is an
// input.
func (m *merging) addStream(c *candidate) error {
	file, err := m.opener.Open(c.Path)
	if err != nil {
		if tool.IsUsage(err) {
			return err
		}
		m.problems.Failed(c.File, err)
		return m.problems.Stop()
	}
	defer file.Close()
	m.sayReading(c.File)
	src, tarball := input.DetectTarball(input.NewSource(m.run.Context, file, m.run.Progress.Add))
	if tarball {
		t := m.newTarball(c)
		return t.end(m.archives.WalkStream(c.Path, src, t.addMember))
	}
	return m.addSections(src, c.File, c.shifts())
}

// addSections makes a run of each section of a capture that can be read only once.
func (m *merging) addSections(src io.Reader, file input.File, shifts []int64) error {
	if len(shifts) > 1 {
		m.runs.ReadAgain()
	}
	failed := false
	added, err := m.runs.Add(io.NopCloser(src), file.Path, file.Archive, func(err error) error {
		if m.run.Context.Err() != nil {
			return m.run.Context.Err()
		}
		var damage *stream.Damage
		if errors.As(err, &damage) {
			m.problems.Damage(file, damage)
			return m.problems.Stop()
		}
		failed = true
		m.streamFailed(file, err)
		return m.problems.Stop()
	})
	if !failed || added.Sections > 0 {
		m.sound++
	}
	m.runInputs.Add(int64(len(added.Inputs)))
	m.addInputs(shifts, added.LinkTypes, added.Inputs...)
	return err
}

// streamFailed reports why a stream, or a member of an archive, ends early.
func (m *merging) streamFailed(file input.File, err error) {
	if file.Archive != "" {
		err = m.archives.PassDamage(file.Archive, err)
	}
	if err != nil {
		m.problems.Failed(file, err)
	}
}

// sayReading shows that an input is read before anything is written.
func (m *merging) sayReading(file input.File) {
	m.run.Progress.Stage("reading " + file.Display() + ", no output yet")
}
