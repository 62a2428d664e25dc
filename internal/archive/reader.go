// Package archive reads captures from tarballs: in one pass, in the order of the tarball,
// or each at its own place by an index.
//
// archive/tar parses the headers. This package adds what archive/tar does not do: it
// distinguishes a truncated tarball from a complete one, continues after damage, and
// reports the offset of everything.
//
// # What an index can do
//
// An index is untrusted input. It is used only if its tables are consistent: the checksum
// of each is right, the numbers are possible, and the members cover the tarball from its
// start to the end of the last one without a gap.
//
// A program that reads members by an index need not trust it beyond that. A member that is
// read must follow the end of the member before it, and have the name, type, size, time and
// content of the index. After the last member, the tarball must end. A program that goes
// through all members and reads some of them gets an error if a member is missing or
// altered, because the members that it does not read are compared, too.
//
// A malicious index can still do two things. It can be wrong about members whose data
// nobody reads. A list of the members of a compressed archive, or a selection by name, thus
// depends on the index alone. And with a forged access point, its window and the checksums,
// it can change the data of a compressed archive. [Indexed.Verify] reads the whole archive
// and finds both.
package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unsafe"

	"pcap-replay/stream"
)

// Type is the type of a member. Its value appears in records.
type Type string

// The types of members. Only a File holds data.
const (
	File      Type = "file"
	Directory Type = "directory"
	Symlink   Type = "symlink"
	Hardlink  Type = "hardlink"
	Device    Type = "device"
	FIFO      Type = "fifo"
	Other     Type = "other" // volume labels and the like
)

// Member is one member of a tarball.
type Member struct {
	// Name is the name in the tarball, byte for byte. It may have any byte except zero:
	// control characters, "..", bytes that are not UTF-8.
	Name    string
	Size    int64 // of the data in bytes, including the holes of a sparse file
	ModTime time.Time
	Type    Type
	Link    string // the target of a Symlink or Hardlink
	// Header and Offset are where the header and the data begin in bytes of the
	// uncompressed tarball.
	Header, Offset int64
	// Content is the result of Inspect.
	Content Content

	isSparse bool // the data is stored in pieces
	// The following fields are only known from an index. A member begins at the end of
	// the one before it, and ends at the block border after its data.
	previousEnd, end int64
	isLast           bool
}

// Footprint is how many bytes of memory a member takes.
func (m *Member) Footprint() int {
	return int(unsafe.Sizeof(*m)) + len(m.Name) + len(m.Link) + len(m.Content.LinkTypes)*int(unsafe.Sizeof(stream.LinkType(0)))
}

// Walker goes from one member of a tarball to the next: a [*Reader] to all of them, in the
// order of the tarball, and an [*IndexedReader] to some of them by an index. It is not safe
// for concurrent use.
type Walker interface {
	// Next goes to the next member. The error is io.EOF after the last one.
	Next() (*Member, error)
	// Inspect fills in the Content of the current member. Call it before Read.
	Inspect()
	// Read reads the data of the current member. The error is io.EOF at its end.
	io.Reader
	// Stored returns the data of the current member in the file, or nil if the file has
	// the data in another form.
	Stored() (*io.SectionReader, error)
	io.Closer
}

// Reader reads a tarball from its start to its end.
type Reader struct {
	// IgnoreZeros continues after an end marker, as tar -i does, for tarballs that were
	// concatenated with cat.
	IgnoreZeros bool

	tape        *tape
	compression stream.Compression
	tar         *tar.Reader // reads one member; nil between members
	member      *Member
	members     int64 // headers found so far
	head        headBuffer
	inspector   *stream.Reader // of Inspect
	said        bool           // Read has already returned the damage of the current member
	ended       error          // the error that Next returns from now on

	builder *indexBuilder // of NewIndexingReader
	end     int64         // of the last member that has been left
}

// NewReader recognizes the compression of src by its magic number. If src is an [io.Seeker]
// and not compressed, data that is not needed is skipped by seeking. The caller closes the
// result, which does not close src.
func NewReader(src io.Reader) (*Reader, error) { return newReader(src, watcher{}) }

func newReader(src io.Reader, watcher watcher) (*Reader, error) {
	tape, compression, err := newTape(src, watcher)
	if err != nil {
		return nil, err
	}
	return &Reader{tape: tape, compression: compression}, nil
}

// TemporaryIndex is the name of the file that becomes the index in FinishIndex. Close
// removes it.
func (r *Reader) TemporaryIndex() string { return r.builder.file.Name() }

// FinishIndex gives the index of a NewIndexingReader its name, after Next has returned
// io.EOF. The index of a damaged tarball has the members that were found, and the damage.
func (r *Reader) FinishIndex() error {
	if r.ended != io.EOF {
		return errors.New("the tarball has not been read to its end")
	}
	_ = r.skipData() // Read has returned the damage
	size := r.tape.size
	if r.tape.file == nil {
		size = r.builder.sums.offset
	}
	return r.builder.finish(size, r.end, r.IgnoreZeros)
}

// Compression is the compression of the tarball.
func (r *Reader) Compression() stream.Compression { return r.compression }

// Close frees the memory of the decompressor, and removes an index that is not finished.
func (r *Reader) Close() error {
	r.builder.abandon()
	return r.tape.close()
}

// Next goes to the next member. The error is one of these:
//   - [io.EOF] at the end
//   - a [*Damage], after which the next call continues
//   - a [*TrailingError] or a [*stream.TrailingError], a warning about an intact tarball
//   - an error that wraps [ErrNotArchive]
//   - the error of the source
func (r *Reader) Next() (*Member, error) {
	m, err := r.next()
	if err == nil && r.builder != nil {
		err = r.builder.member(m, r.end)
	}
	r.builder.damage(err)
	return m, err
}

func (r *Reader) next() (*Member, error) {
	for r.ended == nil {
		if err := r.skipData(); err != nil {
			return nil, err
		}
		if err := r.findHeader(); err != nil {
			return nil, err
		}
		header, err := r.readHeader()
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeXGlobalHeader { // it describes other members and is none
			return r.member, nil
		}
		r.leaveMember()
	}
	return nil, r.ended
}

// skipData skips the rest of the current member. Only archive/tar knows where a sparse
// member ends. It goes there when it is asked for the next header, and the tape then
// pretends to be at its end, so that archive/tar does not read the header.
func (r *Reader) skipData() error {
	if r.tar == nil {
		return nil
	}
	r.tape.atHeader = true
	_, err := r.tar.Next()
	r.tape.atHeader = false
	said := r.said
	r.leaveMember()
	if err != io.EOF && !said {
		err = r.dataDamage(err)
	} else if err = r.tape.skip(roundUp(r.tape.offset) - r.tape.offset); err != nil {
		err = r.fail(err)
	}
	r.end = r.tape.offset
	return err
}

// leaveMember makes no member the current one.
func (r *Reader) leaveMember() {
	r.tar, r.said = nil, false
	r.head.reset()
}

// skipTo leaves the current member and goes to an offset after it.
func (r *Reader) skipTo(offset int64) error {
	r.leaveMember()
	return r.tape.skip(offset - r.tape.offset)
}

// findHeader goes to the next header. Before it, there may be the end marker, which is two
// blocks of zeros, and the rest of damaged members.
func (r *Reader) findHeader() error {
	if r.ended != nil {
		return r.ended
	}
	t := r.tape
	if err := t.skip(roundUp(t.offset) - t.offset); err != nil {
		return r.fail(err)
	}
	zeros, broken := 0, int64(-1)
	for {
		block := t.peek()
		switch {
		case len(block) < blockSize:
			return r.endOfSource(block, zeros, broken)
		case isZero(block):
			zeros++
		case isHeader(block):
			if broken >= 0 {
				return &Damage{Offset: broken, Lost: t.offset - broken, Member: r.members + 1, Reason: "damaged header"}
			}
			if zeros >= 2 && !r.IgnoreZeros {
				r.ended = io.EOF
				return &TrailingError{Offset: t.offset, Archive: true}
			}
			return nil
		case zeros >= 2 && broken < 0:
			r.ended = io.EOF
			return &TrailingError{Offset: t.offset}
		case broken < 0:
			if t.offset == 0 && isCapture(block) { // it may be large, so no header is searched for in it
				return r.fail(notArchive(block))
			}
			broken, zeros = t.offset, 0
		default:
			zeros = 0
		}
		if err := t.skip(blockSize); err != nil {
			return r.fail(err)
		}
	}
}

// endOfSource returns the error for a source that ends where a header or the end marker
// should be: after zeros blocks of zeros, with less than a block left, and with unknown data
// from broken on.
func (r *Reader) endOfSource(rest []byte, zeros int, broken int64) error {
	t := r.tape
	end, next := t.offset+int64(len(rest)), r.members+1
	var trailing *stream.TrailingError
	var decompression *stream.DecompressionError
	switch {
	case t.err != io.EOF && !errors.As(t.err, &trailing) && !errors.As(t.err, &decompression):
		return r.fail(t.err)
	case r.members == 0 && (broken >= 0 || !isZero(rest)) && decompression == nil:
		return r.fail(notArchive(rest))
	case broken >= 0 && zeros == 0:
		return r.truncated(next, broken, end-broken, "damaged header")
	case broken >= 0:
		r.ended = io.EOF
		return &Damage{Offset: broken, Lost: t.offset - int64(zeros)*blockSize - broken, Member: next, Reason: "damaged header"}
	case decompression != nil && zeros > 0:
		r.ended = io.EOF
		return &Damage{Offset: end, Member: next, Truncated: true, Reason: decompression.Error(), Err: decompression}
	case zeros == 0 && len(rest) > 0:
		return r.truncated(next, t.offset, int64(len(rest)), "the tarball ends inside a header")
	case zeros == 0 && (end > 0 || decompression != nil):
		return r.truncated(next, end, 0, "the tarball ends without its end marker")
	}
	r.ended = io.EOF
	if trailing != nil {
		return trailing
	}
	if !isZero(rest) {
		return &TrailingError{Offset: t.offset}
	}
	return io.EOF
}

// readHeader lets archive/tar read the header that findHeader found.
func (r *Reader) readHeader() (*tar.Header, error) {
	t := r.tape
	start := t.offset
	r.members++
	r.tar = tar.NewReader(t)
	t.beforeData = true
	header, err := r.tar.Next()
	t.beforeData = false
	switch {
	case err == nil || errors.Is(err, tar.ErrInsecurePath): // names are checked where they are used
		r.member = newMember(header, start, t.offset)
		return header, nil
	case t.err != nil:
		r.tar = nil
		return nil, r.truncated(r.members, start, t.offset-start, "the tarball ends inside a header")
	}
	r.tar = nil
	return nil, &Damage{Offset: start, Lost: t.offset - start, Member: r.members, Reason: "damaged header", Err: err}
}

// maxSparseSize is the maximum size of a sparse member in bytes. Its holes take no space in
// the tarball, but reading their zeros may take forever. A TiB takes about half an hour.
const maxSparseSize = 1 << 40

// CheckSize returns an error if Read returns no data of a sparse member, because it is too
// large.
func (m *Member) CheckSize() error {
	if !m.isSparse || m.Size <= maxSparseSize {
		return nil
	}
	return fmt.Errorf("claims %d bytes, at most %d are read", m.Size, int64(maxSparseSize))
}

// Read reads the data of the current member, from its start even after Inspect. The error
// is [io.EOF] at its end, a [*Damage] if it is not complete, or the error of the source.
func (r *Reader) Read(p []byte) (int, error) {
	if r.tar != nil && r.member.CheckSize() != nil {
		r.said = true
		reason := fmt.Sprintf("sparse member %q %v", r.member.Name, r.member.CheckSize())
		err := &Damage{Offset: r.member.Offset, Member: r.members, Reason: reason}
		r.builder.damage(err)
		return 0, err
	}
	if n := r.head.read(p); n > 0 {
		return n, nil
	}
	n, err := r.readData(p)
	if err != nil && err != io.EOF {
		r.said = true
		err = r.dataDamage(err)
		r.builder.damage(err)
	}
	return n, err
}

// readData reads the data after what Inspect has read.
func (r *Reader) readData(p []byte) (int, error) {
	if r.tar == nil {
		return 0, io.EOF
	}
	return r.tar.Read(p)
}

// dataDamage returns the error for the data of the current member that err means.
func (r *Reader) dataDamage(err error) error {
	if r.tape.err == nil {
		return &Damage{Offset: r.tape.offset, Member: r.members, Reason: "damaged sparse member", Err: err}
	}
	missing := max(0, r.member.Size-(r.tape.offset-r.member.Offset)) // the maximum, for a sparse member
	return r.truncated(r.members, r.tape.offset, missing, fmt.Sprintf("the tarball ends inside member %q", r.member.Name))
}

// Stored returns the data of the current member in the source, from its start, for callers
// that can copy it faster than by Read. It is nil if the source has the data in another
// form, or is no [io.ReaderAt]. It may end too early, which Read reports. The error is that
// of Read.
func (r *Reader) Stored() (*io.SectionReader, error) {
	if r.tape.stored == nil || r.member.isSparse {
		return nil, nil
	}
	return io.NewSectionReader(r.tape.stored, r.tape.start+r.member.Offset, r.member.Size), nil
}

// notArchive returns the error for a file that is no tarball, and says what it is if that
// is known.
func notArchive(head []byte) error {
	if isCapture(head) {
		return ErrCapture
	}
	return ErrNotArchive
}

// truncated ends the walk at the end of the source.
func (r *Reader) truncated(member, offset, lost int64, reason string) error {
	err := r.tape.err
	var trailing *stream.TrailingError
	var decompression *stream.DecompressionError
	switch {
	case errors.As(err, &trailing), errors.As(err, &decompression):
		reason += ": " + err.Error()
	case err != io.EOF:
		return r.fail(err)
	}
	r.ended = io.EOF
	return &Damage{Offset: offset, Lost: lost, Member: member, Truncated: true, Reason: reason, Err: err}
}

// fail ends the walk with an error of the source.
func (r *Reader) fail(err error) error {
	r.ended = err
	return err
}

func newMember(header *tar.Header, start, data int64) *Member {
	m := &Member{
		Name: header.Name, Size: header.Size, ModTime: header.ModTime, Type: memberType(header.Typeflag), Link: header.Linkname,
		Header: start, Offset: data, isSparse: isSparse(header),
	}
	if m.Type != File && m.Type != Other {
		m.Size = 0 // archive/tar returns no data for these, whatever the header says
	}
	return m
}

// isSparse reports whether archive/tar assembles the data from pieces.
func isSparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return header.Typeflag == tar.TypeGNUSparse
}

func memberType(flag byte) Type {
	switch flag {
	case tar.TypeDir:
		return Directory
	case tar.TypeSymlink:
		return Symlink
	case tar.TypeLink:
		return Hardlink
	case tar.TypeChar, tar.TypeBlock:
		return Device
	case tar.TypeFifo:
		return FIFO
	case 'V', 'M', 'N', 'D': // of GNU tar: volume label, continued file, old long name, listing of a folder
		return Other
	}
	return File // unknown types are files: pax(1)
}
