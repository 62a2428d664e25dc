package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// isArchiveFile says whether a file is a tarball, compressed or not.
func isArchiveFile(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return isArchive(file)
}

// isArchive reads the head of a file and says whether it is a tarball's.
func isArchive(src io.Reader) bool {
	plain, _, err := stream.Decompress(src)
	if err != nil {
		return false
	}
	defer plain.Close()
	head := make([]byte, 512)
	n, _ := io.ReadFull(plain, head)
	return archive.IsArchive(head[:n])
}

// archiveHead is how much is read of a stream to tell a tarball, in bytes: more
// than a block of bzip2.
const archiveHead = 1 << 20

// tellTarball says whether a stream is a tarball, and gives the stream whole again.
func tellTarball(src io.Reader) (whole io.Reader, tarball bool) {
	head, _ := io.ReadAll(io.LimitReader(src, archiveHead)) // the error comes again
	return io.MultiReader(bytes.NewReader(head), src), isArchive(bytes.NewReader(head))
}

// ignoreZerosFlag is -i of the tools that walk through tarballs.
func ignoreZerosFlag() cli.Flag {
	return &cli.BoolFlag{Name: "ignore-zeros", Aliases: []string{"i"}, Usage: "read on behind an end marker, in tarballs put together with cat"}
}

// errEnough is what a visitor returns when it wants no more members.
var errEnough = errors.New("enough")

// walkArchive calls visit for every member of a tarball, which it reads through its
// index if there is a fresh one. Damage is said, and the walk goes on. An error is
// the visitor's, or says that the tarball cannot be read (on).
func (j *job) walkArchive(path string, visit func(*archive.Reader, *archive.Member) error) error {
	return j.walkMembers(path, func(*archive.Member) bool { return true }, visit)
}

// walkMembers is walkArchive for some of the members. Where there is no index, visit
// is called for the others, too.
func (j *job) walkMembers(path string, wants func(*archive.Member) bool, visit func(*archive.Reader, *archive.Member) error) error {
	if indexed := j.openIndexed(path, openSource); indexed != nil {
		defer indexed.Close()
		return j.walkIndexed(indexed, wants, visit)
	}
	return j.walkUnindexed(path, visit)
}

// walkUnindexed is walkArchive without an index.
func (j *job) walkUnindexed(path string, visit func(*archive.Reader, *archive.Member) error) error {
	file, err := j.openInput(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return j.walkTarball(path, &archiveSource{ctx: j.ctx, file: file, progress: j.progress}, visit)
}

// openSource opens a file for openIndexed.
func openSource(path string) (archive.Source, error) { return os.Open(path) }

// countedSource is an archive that is read by its index, and draws progress.
type countedSource struct {
	archive.Source
	progress *progress
	end      atomic.Int64 // of what was read last
}

func (s *countedSource) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.Source.ReadAt(p, offset)
	s.progress.add(int64(n))
	s.end.Store(offset + int64(n))
	return n, err
}

// sendTo implements sender. What was read last, with a header, may be sent now.
func (s *countedSource) sendTo(dst *os.File, offset, size int64) int64 {
	file, ok := s.Source.(*os.File)
	if !ok {
		return 0
	}
	n := files.SendFile(dst, file, offset, size)
	s.progress.add(max(0, min(n, offset+n-s.end.Load())))
	return n
}

// openIndexed opens an archive with its index. Where that cannot be used the reason
// is said, and the archive is to be read as if there was none.
func (j *job) openIndexed(path string, open func(path string) (archive.Source, error)) *archive.Indexed {
	if path == "-" {
		return nil
	}
	indexed, err := archive.OpenIndexedWith(path, func(name string) (archive.Source, error) {
		source, err := open(name)
		if err != nil || name != path {
			return source, err
		}
		return &countedSource{Source: source, progress: j.progress}, nil
	})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			j.warnf("%s: %v: it is not used (pcap-tarls --index makes a new one)", displayName(archive.IndexPath(path), ""), withoutPath(err))
		}
		return nil
	}
	if indexed.IgnoresZeros() != j.flags.Bool("ignore-zeros") {
		j.infof("%s: made with another choice of -i: it is not used", displayName(archive.IndexPath(path), ""))
		indexed.Close()
		return nil
	}
	return indexed
}

// indexedBatch is how many members are kept in memory at a time.
const indexedBatch = 10_000

// walkIndexed goes to each wanted member by the index.
func (j *job) walkIndexed(indexed *archive.Indexed, wants func(*archive.Member) bool, visit func(*archive.Reader, *archive.Member) error) error {
	var batch []*archive.Member
	err := indexed.Each(func(m *archive.Member) error {
		if wants(m) {
			batch = append(batch, m)
		}
		if len(batch) < indexedBatch {
			return j.ctx.Err()
		}
		err := j.walkBatch(indexed, batch, visit)
		batch = batch[:0]
		return err
	})
	if err == nil {
		err = j.walkBatch(indexed, batch, visit)
	}
	if err == errEnough {
		return nil
	}
	return err
}

func (j *job) walkBatch(indexed *archive.Indexed, batch []*archive.Member, visit func(*archive.Reader, *archive.Member) error) error {
	reader := indexed.NewReader(batch)
	defer reader.Close()
	for {
		member, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = visit(reader, member)
		}
		if err != nil {
			return err
		}
		if err := j.ctx.Err(); err != nil {
			return err
		}
	}
}

// walkTarball is walkArchive for a tarball that is open.
func (j *job) walkTarball(path string, src io.Reader, visit func(*archive.Reader, *archive.Member) error) error {
	reader, err := archive.NewReader(src)
	if err != nil {
		return err
	}
	defer reader.Close()
	return j.walkReader(path, reader, visit)
}

// walkReader calls visit for every member.
func (j *job) walkReader(path string, reader *archive.Reader, visit func(*archive.Reader, *archive.Member) error) error {
	reader.IgnoreZeros = j.flags.Bool("ignore-zeros")
	for {
		member, err := reader.Next()
		if err == nil {
			err = visit(reader, member)
		} else {
			err = j.archiveError(path, err)
		}
		switch {
		case err == io.EOF || err == errEnough:
			return nil
		case err != nil:
			return err
		}
	}
}

// outputError tells what ends the run, such as an error of the output, from what is
// wrong with the tarball that is read.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// asOutputError marks an error that ends the run.
func asOutputError(err error) error {
	if err == nil {
		return nil
	}
	return &outputError{err}
}

// memberFailed says that a member cannot be taken, which makes the exit code 3.
func (j *job) memberFailed(path, member string, err error) {
	j.damaged.Store(true)
	j.errorf("%s: %w", displayName(member, path), err)
	j.report.event(record.Failed{
		Event: "failed", Tool: j.tool.Name, Path: member, PathRaw: record.RawName(member),
		Archive: path, ArchiveRaw: record.RawName(path), Reason: err.Error(),
	})
}

// strictly ends the run after damage that has been said, if --strict is set.
func (j *job) strictly() error {
	if j.flags.Bool("strict") && j.damaged.Load() {
		return errReported
	}
	return nil
}

// archiveFailed says that a tarball cannot be read (on), if that is what ended
// walkArchive, and gives back the other errors.
func (j *job) archiveFailed(path string, err error) error {
	var output *outputError
	var usage *usageError
	if err == nil || errors.As(err, &output) || errors.As(err, &usage) || j.ctx.Err() != nil {
		return err
	}
	j.inputFailed(path, err)
	return nil
}

// archiveError says what does not end the reading of a tarball, and passes on
// what does.
func (j *job) archiveError(path string, err error) error {
	var damage *archive.Damage
	var another *archive.TrailingError
	var trailing *stream.TrailingError
	switch {
	case errors.As(err, &damage):
		j.archiveDamage(path, damage)
	case errors.As(err, &another) && another.Archive:
		j.warnf("%s: %v and is left out: -i reads it, too", displayName(path, ""), err)
	case errors.As(err, &another), errors.As(err, &trailing):
		j.warnf("%s: %v", displayName(path, ""), err)
	default:
		return err
	}
	return nil
}

// archiveDamage says and reports a broken place in a tarball, which makes the
// exit code 3.
func (j *job) archiveDamage(path string, d *archive.Damage) {
	j.damaged.Store(true)
	j.errorf("%s: %w", displayName(path, ""), d)
	j.report.event(record.Damaged{
		Event: "damaged", Tool: j.tool.Name, Path: path, PathRaw: record.RawName(path),
		Damage: record.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Member, Reason: d.Reason},
	})
}

// archiveSource is a tarball as it is stored. Reading it draws progress, and ends
// with the run.
type archiveSource struct {
	ctx      context.Context
	file     io.Reader
	progress *progress

	position int64
	reached  int64 // what is before has drawn progress
}

func (s *archiveSource) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.file.Read(p)
	s.position += int64(n)
	s.reach(s.position)
	return n, err
}

func (s *archiveSource) reach(position int64) {
	if position > s.reached {
		s.progress.add(position - s.reached)
		s.reached = position
	}
}

// Seek implements io.Seeker where the tarball is a file. What is skipped is done with;
// who goes to the end asks for the size.
func (s *archiveSource) Seek(offset int64, whence int) (int64, error) {
	seeker, ok := s.file.(io.Seeker)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	position, err := seeker.Seek(offset, whence)
	if err != nil {
		return position, err
	}
	s.position = position
	if whence == io.SeekCurrent {
		s.reach(position)
	}
	return position, nil
}

// ReadAt implements io.ReaderAt where the tarball is a file.
func (s *archiveSource) ReadAt(p []byte, offset int64) (int, error) {
	file, ok := s.file.(*inputFile)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return file.ReadAt(p, offset)
}

// sendTo implements sender.
func (s *archiveSource) sendTo(dst *os.File, offset, size int64) int64 {
	file, ok := s.file.(*inputFile)
	if !ok {
		return 0
	}
	n := files.SendFile(dst, file.File, offset, size)
	s.reach(offset + n)
	return n
}

// totalSize is how much there is to read, or -1 where that cannot be known.
func (j *job) totalSize(paths []string) (total int64) {
	for _, path := range paths {
		info, err := j.statInput(path)
		if err != nil || !info.Mode().IsRegular() {
			return -1
		}
		total += info.Size()
	}
	return total
}

// statInput is os.Stat, for stdin as well.
func (j *job) statInput(path string) (fs.FileInfo, error) {
	if path != "-" {
		return os.Stat(path)
	}
	if file, ok := j.In.(*os.File); ok {
		return file.Stat()
	}
	return nil, errors.ErrUnsupported
}

// timesSize is how much there is to read in rounds of a loop; 0 rounds never end.
func timesSize(total, rounds int64) int64 {
	if total < 0 || rounds == 0 || total > math.MaxInt64/rounds-1 {
		return -1
	}
	return total * rounds
}

// memberRecord is what pcap-tarls says of a member.
func memberRecord(path string, m *archive.Member) record.Member {
	r := record.Member{
		Archive: path, ArchiveRaw: record.RawName(path), Name: m.Name, NameRaw: record.RawName(m.Name),
		Size: m.Size, ModTime: recordTime(m.ModTime), Type: string(m.Type), Offset: m.Offset,
	}
	c := &m.Content
	if !c.IsCapture() {
		return r
	}
	r.Format, r.Compression = c.Format.String(), c.Compression.String()
	if len(c.LinkTypes) > 0 {
		number := uint16(c.LinkTypes[0])
		r.LinkType, r.LinkName = &number, c.LinkTypes[0].String()
	}
	if c.HasFirst {
		first := record.Time(c.First)
		r.First = &first
	}
	return r
}

// recordTime keeps a time that nanoseconds cannot hold at the end of their range.
func recordTime(t time.Time) record.Time {
	const limit = math.MaxInt64 / int64(time.Second)
	switch seconds := t.Unix(); {
	case seconds >= limit:
		return math.MaxInt64
	case seconds <= -limit:
		return math.MinInt64
	}
	return record.Time(t.UnixNano())
}

// parsePatterns compiles the regular expressions of a flag or of operands.
func parsePatterns(what string, texts []string) ([]*regexp.Regexp, error) {
	patterns := make([]*regexp.Regexp, len(texts))
	for i, text := range texts {
		pattern, err := regexp.Compile(text)
		if err != nil {
			return nil, usageErrorf("%s %q: %w", what, text, err)
		}
		patterns[i] = pattern
	}
	return patterns, nil
}

func matchesAny(patterns []*regexp.Regexp, name string) bool {
	for _, pattern := range patterns {
		if pattern.MatchString(name) {
			return true
		}
	}
	return false
}
