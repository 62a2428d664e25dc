package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"pcap-replay/stream"
)

// maxTextLength is the maximum length of a name or link in an index, in bytes: that of
// archive/tar.
const maxTextLength = 1 << 20

// maxReasonLength is the maximum length of the reason of a damage, in bytes. A longer one,
// which has a long name, is cut.
const maxReasonLength = 1 << 10

// memberWriter writes the table of members. The table has lengths and not offsets, so that
// no byte of the tarball is left out: from the end of the member before to the header, from
// there to the data, and from there to the end.
type memberWriter struct {
	data    bytes.Buffer
	encoder *zstd.Encoder
	scratch []byte
	count   int64
	end     int64 // of the last member
}

func newMemberWriter() *memberWriter {
	w := new(memberWriter)
	w.encoder, _ = zstd.NewWriter(&w.data, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20)) // the options are valid
	return w
}

func (w *memberWriter) add(m *Member) error {
	b := w.scratch[:0]
	b = appendText(b, m.Name)
	b = appendText(b, m.Link)
	b = appendText(b, string(m.Type))
	b = append(b, byte(present(m.isSparse)))
	b = binary.AppendUvarint(b, uint64(m.Size))
	b = binary.AppendUvarint(b, uint64(m.Header-w.end))
	b = binary.AppendUvarint(b, uint64(m.Offset-m.Header))
	b = binary.AppendUvarint(b, uint64(m.end-m.Offset))
	b = binary.AppendVarint(b, m.ModTime.Unix())
	b = binary.AppendUvarint(b, uint64(m.ModTime.Nanosecond()))
	c := &m.Content
	b = append(b, byte(c.Format), byte(c.Compression))
	b = binary.AppendUvarint(b, uint64(len(c.LinkTypes)))
	for _, linkType := range c.LinkTypes {
		b = binary.AppendUvarint(b, uint64(linkType))
	}
	b = append(b, byte(present(c.HasFirst)))
	b = binary.AppendVarint(b, c.First)
	w.scratch = b
	w.count++
	w.end = m.end
	_, err := w.encoder.Write(b)
	return err
}

// finish writes the damages after the members.
func (w *memberWriter) finish(damages []*Damage) error {
	b := w.scratch[:0]
	for _, d := range damages {
		b = binary.AppendUvarint(b, uint64(d.Offset))
		b = binary.AppendUvarint(b, uint64(d.Lost))
		b = binary.AppendUvarint(b, uint64(d.Member))
		b = append(b, byte(present(d.Truncated)))
		b = appendText(b, d.Reason[:min(len(d.Reason), maxReasonLength)])
	}
	if _, err := w.encoder.Write(b); err != nil {
		return err
	}
	return w.encoder.Close()
}

func present(b bool) int {
	if b {
		return 1
	}
	return 0
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// memberReader reads the table of members.
type memberReader struct {
	src       *bufio.Reader
	plainSize int64 // of the tarball
	end       int64 // of the last member
	isLast    bool  // the next member is the last one
	err       error
}

func (r *memberReader) number(limit uint64) int64 {
	n, err := binary.ReadUvarint(r.src)
	r.keep(err)
	if r.err == nil && n > limit {
		r.err = indexErrorf("members: number %d, at most %d is possible", n, limit)
	}
	if r.err != nil {
		return 0
	}
	return int64(n)
}

func (r *memberReader) signed() int64 {
	n, err := binary.ReadVarint(r.src)
	r.keep(err)
	return n
}

func (r *memberReader) text(limit uint64) string {
	text := make([]byte, r.number(limit))
	_, err := io.ReadFull(r.src, text)
	r.keep(err)
	return string(text)
}

// distance reads the number of bytes from an offset in the tarball to a later one, and
// returns the later one.
func (r *memberReader) distance(from int64) int64 { return from + r.number(uint64(r.plainSize-from)) }

func (r *memberReader) keep(err error) {
	if r.err == nil && err != nil {
		r.err = indexErrorf("members: %v", err)
	}
}

// next reads one member.
func (r *memberReader) next() (*Member, error) {
	m := &Member{Name: r.text(maxTextLength), Link: r.text(maxTextLength), Type: Type(r.text(maxTextLength)), isSparse: r.number(1) == 1, Size: r.number(math.MaxInt64)}
	m.previousEnd, m.isLast = r.end, r.isLast
	m.Header = r.distance(m.previousEnd)
	m.Offset = r.distance(m.Header)
	m.end = r.distance(m.Offset)
	seconds := r.signed()
	m.ModTime = time.Unix(seconds, r.number(uint64(time.Second)))
	c := &m.Content
	c.Format = stream.Format(r.number(uint64(stream.FormatPcapNG)))
	c.Compression = stream.Compression(r.number(uint64(stream.Bzip2)))
	for range r.number(maxLinkTypes) {
		c.LinkTypes = append(c.LinkTypes, stream.LinkType(r.number(math.MaxUint16)))
	}
	c.HasFirst = r.number(1) == 1
	c.First = r.signed()
	if r.err == nil && !r.addsUp(m) {
		r.err = indexErrorf("members: the numbers of %q are inconsistent", m.Name)
	}
	r.end = m.end
	return m, r.err
}

// addsUp reports whether the numbers of a member are possible.
func (r *memberReader) addsUp(m *Member) bool {
	if m.Header%blockSize != 0 || m.Offset < m.Header+blockSize || m.Offset%blockSize != 0 {
		return false
	}
	switch m.Type {
	case File, Other:
	case Directory, Symlink, Hardlink, Device, FIFO:
		if m.Size != 0 {
			return false
		}
	default:
		return false
	}
	return m.isSparse || r.isCut(m) || m.Size <= r.plainSize-m.Offset && m.end == roundUp(m.Offset+m.Size)
}

// isCut reports whether the tarball ends inside a member.
func (r *memberReader) isCut(m *Member) bool {
	return m.isLast && m.end == r.plainSize && m.Size > r.plainSize-m.Offset-blockSize
}

// damage reads one damage.
func (r *memberReader) damage() *Damage {
	return &Damage{
		Offset: r.number(uint64(r.plainSize)), Lost: r.number(math.MaxInt64), Member: r.number(math.MaxInt64),
		Truncated: r.number(1) == 1, Reason: r.text(maxReasonLength),
	}
}

// checkMembers checks that the table of members is complete and consistent.
func (x *Indexed) checkMembers() error {
	sum := crc32.New(crc32.IEEETable)
	if _, err := io.Copy(sum, x.membersTable()); err != nil {
		return err
	}
	if sum.Sum32() != x.footer.MembersSum {
		return indexErrorf("members: wrong checksum")
	}
	return x.readMembers(func(*Member) error { return nil }, true)
}

func (x *Indexed) membersTable() io.Reader {
	return io.NewSectionReader(x.index, x.footer.Members, x.size-footerSize-x.footer.Members)
}

// Each calls visit for every member, in the order of the tarball, until it returns
// an error.
func (x *Indexed) Each(visit func(*Member) error) error { return x.readMembers(visit, false) }

// Damages are the damages of the tarball when it was indexed.
func (x *Indexed) Damages() []*Damage { return x.damages }

// readMembers reads the table of members, and the damages after it if they are not known
// yet.
func (x *Indexed) readMembers(visit func(*Member) error, withDamages bool) error {
	decoder, err := newZstdDecoder(x.membersTable())
	if err != nil {
		return indexErrorf("members: %v", err)
	}
	defer decoder.Close()
	reader := &memberReader{src: bufio.NewReader(decoder), plainSize: x.footer.PlainSize}
	isCut := false
	for i := range x.footer.MemberCount {
		reader.isLast = i == x.footer.MemberCount-1
		m, err := reader.next()
		if err != nil {
			return err
		}
		isCut = reader.isCut(m)
		if err := visit(m); err != nil {
			return err
		}
	}
	if !withDamages {
		return nil
	}
	for range x.footer.DamageCount {
		x.damages = append(x.damages, reader.damage())
	}
	if reader.err != nil {
		return reader.err
	}
	if isCut && !slices.ContainsFunc(x.damages, func(d *Damage) bool { return d.Truncated }) {
		return indexErrorf("members: the last one is cut, but the tarball is complete")
	}
	if _, err := reader.src.ReadByte(); err != io.EOF || reader.end != x.footer.End {
		return indexErrorf("members: the last of %d ends at %d, not at %d, or more members follow", x.footer.MemberCount, reader.end, x.footer.End)
	}
	return nil
}

// known returns what the index says about damage that was found in the tarball, or nil if
// it says nothing.
func (x *Indexed) known(met *Damage) *Damage {
	for _, d := range x.damages {
		if d.Offset == met.Offset && d.Truncated == met.Truncated {
			return d
		}
	}
	return nil
}

// isKnown reports whether an error is damage that is also in the index.
func (x *Indexed) isKnown(err error) bool {
	var damage *Damage
	return errors.As(err, &damage) && x.known(damage) != nil
}
