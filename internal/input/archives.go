package input

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// IsArchiveFile says whether a file is a tarball, compressed or not.
func IsArchiveFile(path string) bool {
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
	head := make([]byte, 512) // a block of tar
	n, _ := io.ReadFull(plain, head)
	return archive.IsArchive(head[:n])
}

// archiveHead is how much is read of a stream to recognise a tarball, in bytes: more than
// the largest block of bzip2, 900,000.
const archiveHead = 1 << 20

// DetectTarball says whether a stream is a tarball, and gives the stream from its start
// again.
func DetectTarball(src io.Reader) (whole io.Reader, tarball bool) {
	head, _ := io.ReadAll(io.LimitReader(src, archiveHead)) // the error comes again
	return io.MultiReader(bytes.NewReader(head), src), isArchive(bytes.NewReader(head))
}

// headKeeper keeps the head of a stream, until it is known to be no tarball.
type headKeeper struct {
	src    io.Reader
	head   []byte
	closed bool
}

func (k *headKeeper) Read(p []byte) (int, error) {
	n, err := k.src.Read(p)
	if room := archiveHead - len(k.head); !k.closed && room > 0 {
		k.head = append(k.head, p[:min(n, room)]...)
	}
	return n, err
}

func (k *headKeeper) forget() { k.head, k.closed = nil, true }

// IgnoreZerosFlag is -i of the tools that walk through tarballs.
func IgnoreZerosFlag() cli.Flag {
	return &cli.BoolFlag{Name: "ignore-zeros", Aliases: []string{"i"}, Usage: "read past end-of-archive markers, as in tarballs joined with cat"}
}

// Archives walks through tarballs. Damage in them is a problem, and the walk goes on.
type Archives struct {
	Context     context.Context
	Opener      *Opener
	Problems    *Problems
	Count       func(bytes int64) // is told how much is read
	IgnoreZeros bool
	// TrustIndex has members that are not read come from the index alone, as for a list.
	// Otherwise they are compared with the archive.
	TrustIndex bool
}

// Visit is called for a member of a tarball that is walked through.
type Visit func(reader archive.Walker, member *archive.Member) error

// ErrEnough is what a Visit returns when it wants no more members.
var ErrEnough = errors.New("enough")

// Walk calls visit for every member of a tarball, which it reads through its index if there
// is a fresh one. An error is the visitor's, or says that the tarball cannot be read (on).
func (a *Archives) Walk(path string, visit Visit) error {
	return a.WalkWanted(path, func(*archive.Member) bool { return true }, visit)
}

// WalkWanted is Walk for some of the members. Where there is no index, visit is called for
// the others, too.
func (a *Archives) WalkWanted(path string, wants func(*archive.Member) bool, visit Visit) error {
	if indexed := a.OpenIndexed(path, OpenSource); indexed != nil {
		defer indexed.Close()
		return a.walkIndexed(path, indexed, wants, visit)
	}
	return a.WalkUnindexed(path, visit)
}

// WalkUnindexed is Walk without an index.
func (a *Archives) WalkUnindexed(path string, visit Visit) error {
	file, err := a.Opener.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return a.WalkStream(path, NewSource(a.Context, file, a.Count), visit)
}

// WalkStream is Walk for a tarball that is open. The path is for messages.
func (a *Archives) WalkStream(path string, src io.Reader, visit Visit) error {
	reader, err := archive.NewReader(src)
	if err != nil {
		return err
	}
	defer reader.Close()
	return a.WalkReader(path, reader, visit)
}

// WalkReader calls visit for every member.
func (a *Archives) WalkReader(path string, reader *archive.Reader, visit Visit) error {
	reader.IgnoreZeros = a.IgnoreZeros
	for {
		member, err := reader.Next()
		if err == nil {
			err = visit(reader, member)
		} else {
			err = a.PassDamage(path, err)
		}
		switch {
		case err == io.EOF || err == ErrEnough:
			return nil
		case err != nil:
			return err
		}
	}
}

// OpenSource opens a regular file for OpenIndexed.
func OpenSource(path string) (archive.Source, error) {
	if err := CheckRegular(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// OpenIndexed opens an archive with its index. It returns nil if there is no index that can
// be used, after saying why: the archive is to be read as if there was none.
func (a *Archives) OpenIndexed(path string, open func(path string) (archive.Source, error)) *archive.Indexed {
	if path == "-" {
		return nil
	}
	index := files.Display(archive.IndexPath(path), "")
	indexed, err := archive.OpenIndexedWith(path, func(name string) (archive.Source, error) {
		source, err := open(name)
		if err != nil || name != path {
			return source, err
		}
		return &indexedSource{Source: source, count: a.Count}, nil
	})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			a.Problems.Messages.Warnf("%s: %v: it is not used (pcap-tarls --index makes a new one)", index, files.WithoutPath(err))
		}
		return nil
	}
	if indexed.IgnoresZeros() != a.IgnoreZeros {
		a.Problems.Messages.Infof("%s: made with a different -i: it is not used", index)
		indexed.Close()
		return nil
	}
	return indexed
}

// indexedBatch is how many members are kept in memory at a time: some megabytes.
const indexedBatch = 10_000

// walkIndexed goes to each wanted member by the index.
func (a *Archives) walkIndexed(path string, indexed *archive.Indexed, wants func(*archive.Member) bool, visit Visit) error {
	var batch []*archive.Member
	err := indexed.Each(func(m *archive.Member) error {
		if wants(m) {
			batch = append(batch, m)
		}
		if len(batch) < indexedBatch {
			return a.Context.Err()
		}
		err := a.walkBatch(indexed, batch, visit)
		batch = batch[:0]
		return err
	})
	if err == nil {
		err = a.walkBatch(indexed, batch, visit)
	}
	if err == nil {
		a.PassDamages(path, indexed)
	}
	if err == ErrEnough {
		return nil
	}
	return err
}

// PassDamages makes problems of the damage that an index tells of its tarball.
func (a *Archives) PassDamages(path string, indexed *archive.Indexed) {
	for _, damage := range indexed.Damages() {
		a.Problems.ArchiveDamage(path, damage)
	}
}

func (a *Archives) walkBatch(indexed *archive.Indexed, batch []*archive.Member, visit Visit) error {
	reader := indexed.NewReader(batch)
	defer reader.Close()
	for {
		member, err := reader.Next()
		if err == io.EOF {
			if a.TrustIndex {
				return nil
			}
			return reader.CheckSkipped()
		}
		if err == nil {
			err = visit(reader, member)
		}
		if err != nil {
			return err
		}
		if err := a.Context.Err(); err != nil {
			return err
		}
	}
}

// stopError ends the run, such as an error of the output: it is not about the tarball that
// is read.
type stopError struct{ error }

func (e *stopError) Unwrap() error { return e.error }

// AsStop marks an error of a visitor that ends the run; nil stays nil.
func AsStop(err error) error {
	if err == nil {
		return nil
	}
	return &stopError{err}
}

// PassFailure makes a problem of an error of Walk that says that the tarball cannot be read
// (on), and returns the others.
func (a *Archives) PassFailure(path string, err error) error {
	var stop *stopError
	if err == nil || errors.As(err, &stop) || tool.IsUsage(err) || a.Context.Err() != nil {
		return err
	}
	a.Problems.Failed(File{Path: path}, err)
	return nil
}

// PassDamage makes a problem of an error that does not end the reading of a tarball, and
// returns the others.
func (a *Archives) PassDamage(path string, err error) error {
	var damage *archive.Damage
	var another *archive.TrailingError
	var trailing *stream.TrailingError
	warnf := a.Problems.Messages.Warnf
	switch {
	case errors.As(err, &damage):
		a.Problems.ArchiveDamage(path, damage)
	case errors.As(err, &another) && another.Archive:
		warnf("%s: %v and is left out: -i reads it, too", files.Display(path, ""), err)
	case errors.As(err, &another), errors.As(err, &trailing):
		warnf("%s: %v", files.Display(path, ""), err)
	default:
		return err
	}
	return nil
}

// MemberRecord is what pcap-tarls says of a member.
func MemberRecord(path string, m *archive.Member) record.Member {
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
