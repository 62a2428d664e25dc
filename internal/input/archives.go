package input

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// archiveHead is the number of bytes of a stream that are read to recognize a tarball: more
// than the largest block of bzip2, 900,000.
const archiveHead = 1 << 20

// DetectTarball reports whether a stream is a tarball, and returns the stream from its start.
func DetectTarball(src io.Reader) (whole io.Reader, tarball bool) {
	head, _ := io.ReadAll(io.LimitReader(src, archiveHead)) // a later read returns the error again
	return io.MultiReader(bytes.NewReader(head), src), archive.IsIn(bytes.NewReader(head))
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

// Archives walks through tarballs. Damage in them is reported as a problem, and the walk
// continues.
type Archives struct {
	Context     context.Context
	Opener      *Opener
	Problems    *Problems
	Count       func(bytes int64) // is called with the number of bytes read
	IgnoreZeros bool
	// TrustIndex takes members whose data is not read from the index alone, for a list: see
	// [Archives.OpenListed]. Otherwise they are compared with the archive.
	TrustIndex bool
	// Instead is the tool for captures and folders, if this tool reads only tarballs.
	Instead string
}

// Visit is called for a member during a walk.
type Visit func(reader archive.Walker, member *archive.Member) error

// ErrEnough is the error of a Visit that needs no more members.
var ErrEnough = errors.New("enough")

// Walk calls visit for every member of a tarball. It uses the index if there is an up-to-date
// one. The error is that of visit, or the reason why the tarball cannot be read (further).
func (a *Archives) Walk(path string, visit Visit) error {
	return a.WalkWanted(path, func(*archive.Member) bool { return true }, visit)
}

// WalkWanted is Walk for some of the members. Without an index, visit is called for the
// others, too.
func (a *Archives) WalkWanted(path string, wants func(*archive.Member) bool, visit Visit) error {
	open := a.OpenIndexed
	if a.TrustIndex {
		open = a.OpenListed
	}
	if indexed := open(path, OpenSource); indexed != nil {
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

// OpenIndexed opens an archive with its index. If there is no index that can be used, it
// prints the reason and returns nil. The archive is then read without an index.
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

// OpenListed is OpenIndexed for a list of all members. It returns nil for an archive that is
// not compressed: reading its headers takes little time, and an index may be wrong about
// them. The headers of a compressed archive could only be checked by decompressing about a
// MiB for each member, or all of it.
func (a *Archives) OpenListed(path string, open func(path string) (archive.Source, error)) *archive.Indexed {
	indexed := a.OpenIndexed(path, open)
	if indexed != nil && indexed.Compression() == stream.Uncompressed {
		indexed.Close()
		return nil
	}
	return indexed
}

// indexedBatch is how many bytes of members are in memory at a time: some 10,000 members,
// unless their names are long.
const indexedBatch = 4 << 20

// walkIndexed goes to each wanted member by the index.
func (a *Archives) walkIndexed(path string, indexed *archive.Indexed, wants func(*archive.Member) bool, visit Visit) error {
	var batch []*archive.Member
	size := 0 // of the batch
	err := indexed.Each(func(m *archive.Member) error {
		if wants(m) {
			batch = append(batch, m)
			size += m.Footprint()
		}
		if size < indexedBatch {
			return a.Context.Err()
		}
		err := a.walkBatch(indexed, batch, visit)
		clear(batch)
		batch, size = batch[:0], 0
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

// PassDamages reports the damages in an index of a tarball as problems.
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

// stopError is an error that ends the run, such as an error of the output. It does not
// concern the tarball.
type stopError struct{ error }

func (e *stopError) Unwrap() error { return e.error }

// AsStop marks an error of a Visit that ends the run. nil stays nil.
func AsStop(err error) error {
	if err == nil {
		return nil
	}
	return &stopError{err}
}

// PassFailure reports an error of Walk as a problem if the tarball cannot be read (further).
// It returns other errors.
func (a *Archives) PassFailure(path string, err error) error {
	var stop *stopError
	if err == nil || errors.As(err, &stop) || tool.IsUsage(err) || a.Context.Err() != nil {
		return err
	}
	if a.Instead != "" && (errors.Is(err, files.ErrFolder) || errors.Is(err, archive.ErrCapture)) {
		err = tool.WithHint(err, fmt.Sprintf("%s reads captures and folders: %s", a.Instead, files.QuoteLine([]string{a.Instead, path})))
	}
	a.Problems.Failed(File{Path: path}, err)
	return nil
}

// PassDamage reports an error after which the walk continues as a problem. It returns other
// errors.
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

// MemberRecord returns the record of pcap-tarls for a member.
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

// recordTime limits a time to the range of nanoseconds in 64 bits.
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
