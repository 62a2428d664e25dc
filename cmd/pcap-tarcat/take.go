package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// taker is one run of pcap-tarcat. Its counters are safe for concurrent use.
type taker struct {
	run      *tool.Run
	config   config
	archives *input.Archives
	problems *input.Problems

	records *record.Encoder // for --list
	out     *files.Output   // of the stream or the list; nil with -C
	stream  io.WriteCloser  // compresses into out
	pipe    *os.File        // stream if it is a pipe, or nil
	folder  *folder         // for -C
	buffer  []byte

	members, taken, left, missing atomic.Int64
	bytes                         atomic.Int64         // written, before -z
	noCaptures                    []string             // names of wanted members that are none
	files                         map[memberKey]string // of the members that were taken
}

func newTaker(run *tool.Run, config config, opener *input.Opener) *taker {
	problems := input.NewProblems(run)
	return &taker{
		run: run, config: config, problems: problems, buffer: make([]byte, stream.DefaultBlockSize), files: map[memberKey]string{},
		archives: &input.Archives{
			Context: run.Context, Opener: opener, Problems: problems, Count: run.Progress.Add, IgnoreZeros: config.ignoreZeros,
			TrustIndex: config.list, Instead: "pcap-merge",
		},
	}
}

func (t *taker) summary(head record.Summary) any {
	t.run.Messages.Infof("%s", t.counters())
	return record.TarcatSummary{
		Summary: head, Members: t.members.Load(), Taken: t.taken.Load(), LeftOut: t.left.Load(), Missing: int(t.missing.Load()), Bytes: t.bytes.Load(),
	}
}

func (t *taker) counters() string {
	return fmt.Sprintf("%s, %d taken, %s", plural.Of(t.members.Load(), "member"), t.taken.Load(), plural.Of(t.bytes.Load(), "byte"))
}

// takeAll takes the selected members of one tarball after another.
func (t *taker) takeAll() error {
	failed := 0
	for i := range t.config.choices {
		isRead, err := t.walk(&t.config.choices[i])
		if err != nil {
			return err
		}
		if !isRead {
			failed++
		}
	}
	if err := t.finish(); err != nil {
		return err
	}
	if failed == len(t.config.choices) && failed > 0 || t.missing.Load() > 0 && t.taken.Load() == 0 {
		return tool.ErrReported
	}
	return nil
}

// walk takes the selected members of one tarball, and reports whether it could be read.
func (t *taker) walk(choice *archiveChoice) (isRead bool, err error) {
	taken, members := t.taken.Load(), t.members.Load()
	if choice.fromRecord {
		err = input.CheckRecorded(choice.path)
	}
	if err == nil {
		err = t.archives.WalkWanted(choice.path, choice.wanted.MayWant, func(r archive.Walker, m *archive.Member) error { return t.visit(choice, r, m) })
	}
	isRead = err == nil
	if isRead && choice.wanted.All && t.taken.Load() == taken && t.members.Load() > members && !t.run.Messages.HaveErrors() {
		err, isRead = input.Names{}.NoCapture(), false
	}
	if errors.Is(err, fs.ErrNotExist) && !choice.fromRecord {
		err = t.hintOrder(err)
	}
	if err := t.archives.PassFailure(choice.path, err); err != nil {
		return isRead, err
	}
	if isRead {
		for _, reason := range choice.wanted.NotFound(choice.path) {
			t.problems.Failed(input.File{Path: choice.path}, reason)
			t.missing.Add(1)
		}
		t.hintIndex(choice)
	}
	return isRead, t.problems.Check()
}

// hintOrder adds a hint to the error of a missing tarball if a later operand is a tarball.
func (t *taker) hintOrder(err error) error {
	operands := t.run.Flags.Operands()
	for i, operand := range operands {
		if info, _ := os.Stat(operand); info != nil && info.Mode().IsRegular() && archive.IsFile(operand) {
			others := slices.Delete(slices.Clone(operands), i, i+1)
			return tool.WithHint(files.WithoutPath(err), "the tarball is the first operand: "+files.QuoteLine(slices.Concat([]string{"pcap-tarcat", operand}, others)))
		}
	}
	return err
}

// hintSize is the size of an archive, in bytes, from which an index is recommended: reading
// all of it takes a few seconds.
const hintSize = 256 << 20

// hintIndex recommends an index if a few members of a large archive were read without one.
func (t *taker) hintIndex(choice *archiveChoice) {
	info, err := os.Stat(choice.path)
	if choice.wanted.All || choice.wanted.HasPatterns() || t.run.Messages.Quiet() || choice.path == "-" || err != nil || info.Size() < hintSize {
		return
	}
	if _, err := os.Stat(archive.IndexPath(choice.path)); errors.Is(err, fs.ErrNotExist) {
		t.run.Messages.Say(fmt.Sprintf("hint: pcap-tarls --index %s makes an index, with which members are read directly", files.Display(choice.path, "")))
	}
}

// open opens the output.
func (t *taker) open() (err error) {
	if t.config.directory != "" {
		if t.folder, err = openFolder(t.config.directory); err != nil {
			return tool.UsageErrorf("-C %s: %w", t.config.directory, err)
		}
		t.run.OnEnd(t.folder.end)
		return nil
	}
	if t.out, err = t.run.OpenOutput(!t.config.list); err != nil {
		return err
	}
	if t.config.list {
		t.records = record.NewEncoder(t.out)
		return nil
	}
	if t.config.compression == stream.Uncompressed {
		t.pipe = t.out.Pipe()
	}
	t.stream, err = stream.Compress(t.out, t.config.compression)
	return err
}

// size is the size of the tarballs in bytes.
func (t *taker) size() int64 {
	paths := make([]string, len(t.config.choices))
	for i := range t.config.choices {
		paths[i] = t.config.choices[i].path
	}
	return t.archives.Opener.Size(slices.Values(paths))
}

// visit takes a member if it is selected.
func (t *taker) visit(choice *archiveChoice, r archive.Walker, m *archive.Member) error {
	if err := t.problems.Check(); err != nil {
		return input.AsStop(err)
	}
	t.members.Add(1)
	takes, exactly := choice.wanted.Find(m)
	if takes {
		if err := t.consider(choice, r, m, exactly); err != nil {
			return err
		}
	}
	if choice.wanted.IsComplete() {
		return input.ErrEnough
	}
	return nil
}

// consider takes a selected member if it can be written.
func (t *taker) consider(choice *archiveChoice, r archive.Walker, m *archive.Member, exactly bool) error {
	if m.Type == archive.Hardlink && t.isTaken(choice.path, m.Link) {
		return t.link(choice.path, m)
	}
	if m.Type != archive.File {
		t.leaveOutOther(choice, m, exactly)
		return nil
	}
	r.Inspect()
	if o := choice.wanted.Compare(m); o != nil {
		t.problems.Outdated(input.File{Path: m.Name, Archive: choice.path}, o)
		if err := t.problems.Check(); err != nil {
			return input.AsStop(err)
		}
	}
	asItIs := exactly || !choice.wanted.All && (t.config.raw || t.folder != nil)
	if !m.Content.IsCapture() && !asItIs {
		t.leaveOutOtherFile(choice, m)
		return nil
	}
	switch {
	case t.records != nil:
		t.taken.Add(1)
		return input.AsStop(t.records.Encode(input.MemberRecord(choice.path, m)))
	case t.folder != nil:
		return t.extract(choice.path, r, m)
	}
	t.taken.Add(1)
	t.markTaken(choice.path, m.Name, "")
	return t.copyMember(t.stream, choice.path, r, m)
}

// leaveOutOtherFile leaves out a member that is not a capture. If it is named like a
// capture, this is an error.
func (t *taker) leaveOutOtherFile(choice *archiveChoice, m *archive.Member) {
	switch {
	case m.Size == 0:
		return
	case input.LooksLikeCapture(m.Name):
		t.problems.Failed(input.File{Path: m.Name, Archive: choice.path}, stream.ErrNotCapture)
	default:
		t.noCaptures = append(t.noCaptures, m.Name)
	}
	t.leaveOut(choice.path, m, "is not a capture")
}

// leaveOutOther leaves out a member without data. If it was named exactly, this is an
// error.
func (t *taker) leaveOutOther(choice *archiveChoice, m *archive.Member, exactly bool) {
	reason := "is a " + string(m.Type)
	if m.Link != "" {
		reason += fmt.Sprintf(" to %q", m.Link)
	}
	switch {
	case exactly:
		t.run.Messages.Errorf("%s: %s", files.Display(m.Name, choice.path), reason)
	case m.Type == archive.Hardlink && t.folder != nil && input.LooksLikeCapture(m.Name):
		reason += ", which has not been extracted"
		t.problems.Failed(input.File{Path: m.Name, Archive: choice.path}, errors.New(reason))
	case m.Type == archive.Hardlink && !choice.wanted.All:
		t.run.Messages.Warnf("%s: %s, which is left out", files.Display(m.Name, choice.path), reason)
	case m.Type == archive.Directory || choice.wanted.All:
		return
	}
	t.leaveOut(choice.path, m, reason)
}

// leaveOut counts and reports a selected member that is left out.
func (t *taker) leaveOut(path string, m *archive.Member, reason string) {
	t.left.Add(1)
	t.run.Messages.Infof("%s: %s: left out", files.Display(m.Name, path), reason)
	t.run.Report.Skipped(m.Name, path, reason, 0)
}

// memberKey identifies a member of one of several tarballs.
type memberKey struct{ archive, name string }

func (t *taker) isTaken(path, name string) bool {
	_, taken := t.files[memberKey{path, name}]
	return taken
}

func (t *taker) markTaken(path, name, file string) { t.files[memberKey{path, name}] = file }

// link gives an extracted file another name. In a stream, its packets have already been
// written.
func (t *taker) link(path string, m *archive.Member) error {
	if t.folder == nil {
		t.leaveOut(path, m, fmt.Sprintf("is a hardlink to %q, which was written already", m.Link))
		return nil
	}
	if err := t.checkPlace(t.fileName(m)); err != nil {
		return t.notExtracted(path, m, err)
	}
	name, err := t.folder.link(t.files[memberKey{path, m.Link}], t.fileName(m))
	if err != nil {
		return t.notExtracted(path, m, err)
	}
	t.taken.Add(1)
	t.extracted(path, m, name)
	return nil
}

// notExtracted reports that a member cannot be extracted. It returns an error if no other
// member can be extracted, either.
func (t *taker) notExtracted(path string, m *archive.Member, err error) error {
	t.leaveOut(path, m, err.Error())
	if isFull(err) {
		return input.AsStop(t.folder.named(t.fileName(m), err))
	}
	t.problems.Failed(input.File{Path: m.Name, Archive: path}, err)
	return nil
}

// extract writes a member to a file of its own.
func (t *taker) extract(path string, r archive.Walker, m *archive.Member) error {
	if err := t.checkPlace(t.fileName(m)); err != nil {
		return t.notExtracted(path, m, err)
	}
	if err := m.CheckSize(); err != nil {
		return t.notExtracted(path, m, fmt.Errorf("sparse member %w", err))
	}
	file, err := t.folder.create(t.fileName(m))
	if err != nil {
		return t.notExtracted(path, m, err)
	}
	compressor, err := stream.Compress(file, t.config.compression)
	if err == nil {
		err = t.copyMember(compressor, path, r, m)
	}
	if err == nil {
		err = input.AsStop(compressor.Close())
	}
	if err != nil {
		t.folder.clean()
		if isTooLarge(err) {
			file.Close()
			return t.notExtracted(path, m, files.WithoutPath(err))
		}
		t.leaveOut(path, m, "was not extracted to its end")
		return t.folder.named(file.name, err)
	}
	err = t.run.PublishFile(func() error { return file.commit(m.ModTime) })
	switch {
	case err == nil:
	case t.run.Context.Err() != nil:
		t.folder.clean()
		t.leaveOut(path, m, "was not extracted to its end")
		return input.AsStop(err)
	default:
		t.folder.clean()
		return t.notExtracted(path, m, files.WithoutPath(err))
	}
	t.taken.Add(1)
	t.extracted(path, m, file.name)
	return nil
}

// checkPlace refuses a member that would replace an input or an output of the run.
func (t *taker) checkPlace(member string) error {
	name := filepath.Join(t.config.directory, localName(member))
	place := files.PlaceOf(name)
	if !place.IsRegular() {
		return nil
	}
	for _, choice := range t.config.choices {
		switch {
		case place.Is(files.PlaceOf(choice.path)):
			return errors.New("would replace the tarball")
		case place.Is(files.PlaceOf(archive.IndexPath(choice.path))):
			return errors.New("would replace the index of the tarball")
		}
	}
	claims := t.archives.Opener.Claims
	if claims.IsInput(name) {
		return errors.New("would replace an input")
	}
	if output, ok := claims.Of(name); ok {
		return fmt.Errorf("would replace the file of %s", output)
	}
	return nil
}

// extracted reports the name of a member's file if it differs from that of the member.
func (t *taker) extracted(path string, m *archive.Member, file string) {
	t.markTaken(path, m.Name, file)
	if wanted := localName(t.fileName(m)); file != wanted {
		t.run.Messages.Warnf("%s: %q already exists: extracted as %q", files.Display(path, ""), wanted, file)
	}
}
