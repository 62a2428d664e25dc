package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"sync/atomic"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
)

// lister lists the members of archives. Its counters are safe for concurrent use.
type lister struct {
	run      *tool.Run
	config   config
	archives *input.Archives
	problems *input.Problems
	print    func(archive string, m *archive.Member) error

	failed                           atomic.Int64 // archives
	members, listed, captures, bytes atomic.Int64
}

func newLister(run *tool.Run, config config, out io.Writer) *lister {
	problems := input.NewProblems(run)
	opener := input.NewOpener(run)
	return &lister{
		run: run, config: config, problems: problems, print: printer(config.format, out),
		archives: &input.Archives{
			Context: run.Context, Opener: opener, Problems: problems, Count: run.Progress.Add, IgnoreZeros: config.ignoreZeros,
			Instead: "pcap-map",
		},
	}
}

// printer prints each member with one Write, so that a reader gets it at once.
func printer(format format, out io.Writer) func(archive string, m *archive.Member) error {
	line := []byte{}
	write := func(name string, end byte) error {
		line = append(append(line[:0], name...), end)
		_, err := out.Write(line)
		return err
	}
	switch format {
	case rawNames:
		return func(_ string, m *archive.Member) error { return write(m.Name, 0) }
	case names:
		return func(_ string, m *archive.Member) error { return write(files.Escape(m.Name), '\n') }
	}
	encoder := record.NewEncoder(out)
	return func(path string, m *archive.Member) error { return encoder.Encode(input.MemberRecord(path, m)) }
}

func (l *lister) counters() string { return plural.Of(l.members.Load(), "member") }

func (l *lister) summary(head record.Summary) any {
	return record.TarlsSummary{
		Summary: head, Archives: len(l.config.archives), Failed: int(l.failed.Load()),
		Members: l.members.Load(), Listed: l.listed.Load(), Captures: l.captures.Load(), Bytes: l.bytes.Load(),
	}
}

// listAll lists one archive after another.
func (l *lister) listAll() error {
	for i, path := range l.config.archives {
		err := l.listArchive(path)
		if i > 0 && errors.Is(err, fs.ErrNotExist) { // an expression, as pcap-tarcat has it
			err = tool.WithHint(files.WithoutPath(err), files.QuoteLine([]string{"--match", path})+" lists the members whose names match")
		}
		if err != nil {
			l.failed.Add(1)
		}
		if err := l.archives.PassFailure(path, err); err != nil {
			return err
		}
		if err := l.problems.Check(); err != nil {
			return err
		}
	}
	if int(l.failed.Load()) == len(l.config.archives) {
		return tool.ErrReported
	}
	if l.members.Load() > 0 && l.listed.Load() == 0 {
		match := l.config.match[0].String()
		return tool.WithHint(fmt.Errorf("no member matches --match \"%s\"", files.EscapeControls(match)), tool.PatternHint(match))
	}
	return nil
}

// listArchive lists one archive, from its index if it is compressed and the index is up to
// date.
func (l *lister) listArchive(path string) error {
	visit := func(r archive.Walker, m *archive.Member) error { return l.list(path, r, m) }
	switch {
	case l.config.index:
		return l.indexArchive(path, visit)
	case l.config.verify:
		return l.verifyIndex(path)
	}
	indexed := l.archives.OpenListed(path, input.OpenSource)
	if indexed == nil {
		return l.archives.WalkUnindexed(path, visit)
	}
	defer indexed.Close()
	reader := indexed.NewReader(nil)
	if err := indexed.Each(func(m *archive.Member) error { return visit(reader, m) }); err != nil {
		return err
	}
	l.archives.PassDamages(path, indexed)
	return nil
}

// indexArchive lists an archive and writes its index.
func (l *lister) indexArchive(path string, visit input.Visit) error {
	in, err := l.archives.Opener.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	file, ok := in.(*files.Input)
	if !ok {
		return errors.New("is not a file")
	}
	reader, err := archive.NewIndexingReader(l.source(file), file.File)
	if err != nil {
		return fmt.Errorf("index: %w", files.WithoutPath(err))
	}
	temporary := reader.TemporaryIndex()
	l.run.OnEnd(func() { os.Remove(temporary) }) // a run that is given up does not come to Close
	defer reader.Close()
	if err := l.archives.WalkReader(path, reader, visit); err != nil {
		return err
	}
	if err := l.run.PublishFile(reader.FinishIndex); err != nil {
		return fmt.Errorf("index: %w", files.WithoutPath(err))
	}
	if info, err := os.Stat(archive.IndexPath(path)); err == nil {
		l.run.ListPublished(archive.IndexPath(path), info.Size())
	}
	return nil
}

// verifyIndex checks the index of an archive.
func (l *lister) verifyIndex(path string) error {
	in, err := l.archives.Opener.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	indexed, err := archive.OpenIndexedWith(path, input.OpenSource)
	if err != nil {
		return tool.WithHint(fmt.Errorf("index: %w", files.WithoutPath(err)), files.QuoteLine([]string{"pcap-tarls", "--index", path})+" makes one")
	}
	defer indexed.Close()
	if err := indexed.Verify(l.source(in)); err != nil {
		if l.run.Context.Err() != nil {
			return l.run.Context.Err()
		}
		return fmt.Errorf("index: %w", err)
	}
	l.run.Messages.Infof("%s: the index is correct", files.Display(path, ""))
	return nil
}

func (l *lister) source(file io.Reader) *input.Source {
	return input.NewSource(l.run.Context, file, l.run.Progress.Add)
}

// list prints a member, unless it does not match.
func (l *lister) list(path string, r archive.Walker, m *archive.Member) error {
	if err := l.problems.Check(); err != nil {
		return input.AsStop(err)
	}
	l.members.Add(1)
	listed := l.matches(m.Name)
	if l.config.index || listed && l.config.format == records {
		r.Inspect()
	}
	if !listed {
		return nil
	}
	if m.Content.IsCapture() {
		l.captures.Add(1)
	}
	l.listed.Add(1)
	l.bytes.Add(m.Size)
	return input.AsStop(l.print(path, m))
}

func (l *lister) matches(name string) bool {
	return len(l.config.match) == 0 || matchesAny(l.config.match, name)
}

func matchesAny(patterns []*regexp.Regexp, name string) bool {
	for _, pattern := range patterns {
		if pattern.MatchString(name) {
			return true
		}
	}
	return false
}
