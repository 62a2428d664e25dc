// Package archive reads captures out of tarballs: in one pass, in the order in
// which they stand there, or each at its own place through an index.
//
// archive/tar parses the headers. What it leaves to others is done here: telling
// a tarball that was cut from one that ended, going on behind damage, and saying
// where everything stands.
//
// # What an index can do
//
// An index is untrusted input. It is used only if its tables add up: each has its
// checksum, the numbers are possible, and the members cover the tarball from its start to
// the end of the last one without a gap.
//
// Who reads members by an index does not have to trust it in more than that. A member that
// is read must be the next one behind the end of the member before it, with the name, type,
// size, time and content of the index, and behind the last one the tarball must end. Who
// goes through all members and reads some is told if one is missing or altered: those
// that are not read are compared, too.
//
// Two things an index can still do. It can lie about members of which nobody reads any
// data: a list of members, or a choice among them by name, is what the index says. And who
// makes both an access point with its window and the checksums of what comes out can forge
// the data of a compressed archive. [Indexed.Verify] reads the whole archive and finds both.
package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"pcap-replay/stream"
)

// Type is what kind of member one is. Its value stands in records.
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
	// Name is what stands in the tarball, byte for byte. It may hold anything but
	// a zero byte: control characters, "..", bytes that are not UTF-8.
	Name    string
	Size    int64 // of the data in bytes; a sparse file counts its holes
	ModTime time.Time
	Type    Type
	Link    string // what a Symlink or Hardlink points to
	// Header and Offset are where the header and the data begin in bytes of the
	// uncompressed tarball.
	Header, Offset int64
	// Content is what Inspect found out.
	Content Content

	isSparse bool // the data stand in pieces
	// Only an index knows the following. A member begins where the one before it ends,
	// and ends at the block border behind its data.
	previousEnd, end int64
	isLast           bool
}

// Walker goes from one member of a tarball to the next: a [*Reader] to all of them as
// they stand there, an [*IndexedReader] to some of them by an index. It is not safe for
// concurrent use.
type Walker interface {
	// Next goes to the next member. The error is io.EOF behind the last one.
	Next() (*Member, error)
	// Inspect fills in the Content of the current member. Call it before Read.
	Inspect()
	// Read reads the data of the current member. The error is io.EOF at its end.
	io.Reader
	// Stored gives the data of the current member as they stand in the file, or nil where
	// they stand there otherwise.
	Stored() (*io.SectionReader, error)
	io.Closer
}

// Reader reads a tarball from its start to its end.
type Reader struct {
	// IgnoreZeros reads on behind an end marker, as tar -i does: for tarballs
	// that were put together with cat.
	IgnoreZeros bool

	tape        *tape
	compression stream.Compression
	tar         *tar.Reader // reads one member; nil between two
	member      *Member
	members     int64 // headers found so far
	head        headBuffer
	said        bool  // Read has returned the damage that is in the way
	ended       error // what Next returns from now on

	builder *indexBuilder // of NewIndexingReader
	end     int64         // of the last member that has been left
}

// NewReader tells the compression of src by its magic. Data that is not wanted
// is skipped by seeking where src is an [io.Seeker] and not compressed. The
// caller closes the result, which does not close src.
func NewReader(src io.Reader) (*Reader, error) { return newReader(src, watcher{}) }

func newReader(src io.Reader, watcher watcher) (*Reader, error) {
	tape, compression, err := newTape(src, watcher)
	if err != nil {
		return nil, err
	}
	return &Reader{tape: tape, compression: compression}, nil
}

// TemporaryIndex is the name of the file that FinishIndex makes the index of. Close removes
// it.
func (r *Reader) TemporaryIndex() string { return r.builder.file.Name() }

// FinishIndex gives the index of a NewIndexingReader its name, once Next has
// returned io.EOF. That of a damaged tarball holds what there is, and the damage.
func (r *Reader) FinishIndex() error {
	if r.ended != io.EOF {
		return errors.New("the tarball has not been read to its end")
	}
	_ = r.skipData() // Read has told the damage
	size := r.tape.size
	if r.tape.file == nil {
		size = r.builder.sums.offset
	}
	return r.builder.finish(size, r.end, r.IgnoreZeros)
}

// Compression is what the tarball came wrapped in.
func (r *Reader) Compression() stream.Compression { return r.compression }

// Close frees what decompression holds, and drops an index that is not finished.
func (r *Reader) Close() error {
	r.builder.abandon()
	return r.tape.close()
}

// Next goes to the next member. The error is [io.EOF] at the end; a [*Damage],
// behind which the next call goes on; a [*TrailingError] or a
// [*stream.TrailingError] beside a sound tarball, a warning; one that wraps
// [ErrNotArchive]; or what the source said.
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
		if header.Typeflag != tar.TypeXGlobalHeader { // it speaks of others and is no member
			return r.member, nil
		}
		r.leaveMember()
	}
	return nil, r.ended
}

// skipData passes over what is left of the current member. Where that ends
// archive/tar alone knows, for sparse members. It goes there when it is asked for
// the next header, which the tape then keeps from it.
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

// leaveMember forgets the current member.
func (r *Reader) leaveMember() {
	r.tar, r.said = nil, false
	r.head.reset()
}

// skipTo leaves the current member for an offset behind it.
func (r *Reader) skipTo(offset int64) error {
	r.leaveMember()
	return r.tape.skip(offset - r.tape.offset)
}

// findHeader goes to the next header. On the way there may be the end marker,
// which is two blocks of zeros, and what is left of broken members.
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
			if t.offset == 0 && isCapture(block) { // it may be large: no header is looked for in it
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

// endOfSource says what it means that the source ends where a header, or the end
// marker, should be: behind zeros blocks of zeros, with less than a block left,
// and with nothing understood from broken on.
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

// readHeader has archive/tar read the header that findHeader found.
func (r *Reader) readHeader() (*tar.Header, error) {
	t := r.tape
	start := t.offset
	r.members++
	r.tar = tar.NewReader(t)
	header, err := r.tar.Next()
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

// maxSparseSize is how large a sparse member may be, in bytes: its holes take no room in a
// tarball, and their zeros can take for ever to read. A TiB takes about half an hour.
const maxSparseSize = 1 << 40

// Read reads the data of the current member, from its start also after Inspect.
// The error is [io.EOF] at its end, a [*Damage] where not all of it is there, or
// what the source said.
func (r *Reader) Read(p []byte) (int, error) {
	if r.tar != nil && r.member.isSparse && r.member.Size > maxSparseSize {
		r.said = true
		err := &Damage{
			Offset: r.member.Offset, Member: r.members,
			Reason: fmt.Sprintf("sparse member %q claims %d bytes, at most %d are read", r.member.Name, r.member.Size, int64(maxSparseSize)),
		}
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

// readData reads what Inspect has not.
func (r *Reader) readData(p []byte) (int, error) {
	if r.tar == nil {
		return 0, io.EOF
	}
	return r.tar.Read(p)
}

// dataDamage says what err means for the data of the current member.
func (r *Reader) dataDamage(err error) error {
	if r.tape.err == nil {
		return &Damage{Offset: r.tape.offset, Member: r.members, Reason: "damaged sparse member", Err: err}
	}
	missing := max(0, r.member.Size-(r.tape.offset-r.member.Offset)) // of a sparse member at most
	return r.truncated(r.members, r.tape.offset, missing, fmt.Sprintf("the tarball ends inside member %q", r.member.Name))
}

// Stored gives the data of the current member as they stand in the source, from
// their start, for who has a quicker way to copy them than Read. It is nil where they
// stand there otherwise, or the source is no [io.ReaderAt]. It may end too early,
// which Read tells. The error is what Read would return.
func (r *Reader) Stored() (*io.SectionReader, error) {
	if r.tape.stored == nil || r.member.isSparse {
		return nil, nil
	}
	return io.NewSectionReader(r.tape.stored, r.tape.start+r.member.Offset, r.member.Size), nil
}

// notArchive says what it is instead, if that is known.
func notArchive(head []byte) error {
	if isCapture(head) {
		return fmt.Errorf("%w but a capture", ErrNotArchive)
	}
	return ErrNotArchive
}

// truncated ends the walk where the source ended.
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
		m.Size = 0 // archive/tar gives no data for these, whatever the header says
	}
	return m
}

// isSparse says whether archive/tar puts the data together out of pieces.
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
	return File // what is not known is a file: pax(1)
}
