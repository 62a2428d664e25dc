package archive

import (
	"errors"
	"io"
	"reflect"
	"runtime"

	"pcap-replay/stream"
)

// IndexedReader reads some members of an archive by its index. It compares a member in the
// index with the archive when it reads this member or a later one. As long as no member is
// read, it reads nothing of the archive.
type IndexedReader struct {
	index     *Indexed
	workers   int
	members   []*Member // the next ones
	unchecked []*Member // those that Next has returned and that have not been compared yet
	current   *Member   // the last one that Next has returned
	reader    *Reader   // positioned at a member; nil at first
	end       int64     // of what reader can read
	err       error     // the error that all later calls return
}

// Open opens the data of a member that Each has returned. Any number of members may be open
// at the same time. Each takes less than 4 MiB if the archive is compressed with gzip, and
// otherwise what its decompression takes.
func (x *Indexed) Open(m *Member) (io.ReadCloser, error) {
	r := &IndexedReader{index: x, workers: 1, current: m, unchecked: []*Member{m}}
	if err := r.reach(); err != nil {
		r.Close()
		return nil, err
	}
	r.reader.inspector = nil // frees its memory
	return r, nil
}

// NewReader returns a reader of some members that Each has returned, in their order. It
// decompresses on all cores.
func (x *Indexed) NewReader(members []*Member) *IndexedReader {
	return &IndexedReader{index: x, workers: min(runtime.GOMAXPROCS(0), maxWorkers), members: members}
}

// Close frees the memory of the decompressor.
func (r *IndexedReader) Close() error {
	if r.reader == nil {
		return nil
	}
	return r.reader.Close()
}

// Next implements [Walker].
func (r *IndexedReader) Next() (*Member, error) {
	if r.err == nil && r.reader != nil {
		r.err = r.reader.ended
	}
	if r.err == nil && len(r.members) == 0 {
		r.err = r.finish()
	}
	if r.err != nil {
		return nil, r.err
	}
	r.current, r.members = r.members[0], r.members[1:]
	r.unchecked = append(r.unchecked, r.current)
	return r.current, nil
}

// finish compares the members that have not been compared yet, if anything has been read.
func (r *IndexedReader) finish() error {
	if r.reader == nil {
		return io.EOF
	}
	return r.compareSkipped()
}

// CheckSkipped compares the members that have not been compared yet, even if none has been
// read, and checks that no member follows the last one. Call it after the last member. It
// returns nil if the archive agrees with the index.
func (r *IndexedReader) CheckSkipped() error {
	if r.reader != nil {
		return nil // Next has compared them
	}
	r.err = nil // it is io.EOF, after the last member
	err := io.EOF
	switch {
	case r.current != nil:
		err = r.compareSkipped()
	case r.index.footer.MemberCount == 0:
		r.setDown(&Member{isLast: true}, nil)
		err = r.checkEnd()
	}
	r.err = err
	if err == io.EOF {
		return nil
	}
	return err
}

// compareSkipped returns io.EOF if everything agrees with the index.
func (r *IndexedReader) compareSkipped() error {
	if err := r.reach(); err != nil {
		return err
	}
	if r.current.isLast {
		return r.checkEnd()
	}
	return io.EOF
}

// Inspect implements [Walker]. The Content is in the index.
func (r *IndexedReader) Inspect() {}

// Read implements [Walker].
func (r *IndexedReader) Read(p []byte) (int, error) {
	if err := r.reach(); err != nil {
		return 0, err
	}
	n, err := r.reader.Read(p)
	var damage *Damage
	switch {
	case err == io.EOF && r.current.isLast:
		err = r.checkEnd()
	case errors.As(err, &damage):
		if known := r.index.known(damage); known != nil {
			return n, known // its reason says more
		}
	}
	return n, err
}

// Stored implements [Walker].
func (r *IndexedReader) Stored() (*io.SectionReader, error) {
	if err := r.reach(); err != nil {
		return nil, err
	}
	return r.reader.Stored()
}

// reach goes to the data of the current member, if the reader is not there yet.
func (r *IndexedReader) reach() error {
	for i := 0; i < len(r.unchecked) && r.err == nil; i++ {
		r.err = r.open(r.unchecked[i], r.unchecked[i+1:])
	}
	r.unchecked = r.unchecked[:0]
	return r.err
}

// open goes to a member, and checks that it agrees with the index: it must be the next one
// after the end of the member before it. later are the members that are opened next.
func (r *IndexedReader) open(want *Member, later []*Member) error {
	if r.reader == nil || want.previousEnd < r.reader.tape.offset || want.previousEnd >= r.end {
		if err := r.Close(); err != nil {
			return err
		}
		r.setDown(want, later)
	}
	if err := r.reader.skipTo(want.previousEnd); err != nil {
		return err
	}
	m, err := r.next()
	switch {
	case err == nil:
	case r.reader.tape.err != nil && r.reader.tape.err != io.EOF:
		return r.reader.tape.err
	default:
		return indexErrorf("no member at offset %d: %v", want.Header, err)
	}
	r.reader.Inspect()
	if !m.equals(want) {
		return indexErrorf("%q at offset %d differs from the entry of the index for %q at offset %d", m.Name, m.Header, want.Name, want.Header)
	}
	return nil
}

// setDown begins to read at the end of the member before m.
func (r *IndexedReader) setDown(m *Member, later []*Member) {
	r.reader = &Reader{
		tape: r.newTape(m, later), compression: r.index.Compression(), IgnoreZeros: r.index.IgnoresZeros(),
		inspector: stream.NewReaderSize(nil, indexedBufferSize),
	}
}

// next goes to the next member, and passes damage that is also in the index.
func (r *IndexedReader) next() (*Member, error) {
	for {
		m, err := r.reader.Next()
		if !r.index.isKnown(err) {
			return m, err
		}
	}
}

// equals reports whether two members are the same, except for what only an index has.
func (m *Member) equals(other *Member) bool {
	copied := *m
	copied.previousEnd, copied.end, copied.isLast = other.previousEnd, other.end, other.isLast
	if m.ModTime.Equal(other.ModTime) {
		copied.ModTime = other.ModTime
	}
	return reflect.DeepEqual(&copied, other)
}

// checkEnd returns io.EOF if no member follows the last one.
func (r *IndexedReader) checkEnd() error {
	m, err := r.next()
	var trailing *TrailingError
	switch {
	case err == nil:
		return indexErrorf("%q at offset %d is missing in it", m.Name, m.Header)
	case err != io.EOF && !errors.As(err, &trailing):
		return err
	case r.reader.end != r.index.footer.End:
		return indexErrorf("the last member ends at offset %d, not at %d", r.reader.end, r.index.footer.End)
	}
	return io.EOF
}

// newTape reads from the end of the member before m, up to the last member that is reached
// faster by reading on than from an access point. later are the members after m whose data
// is not read.
func (r *IndexedReader) newTape(m *Member, later []*Member) *tape {
	x := r.index
	if x.Compression() == stream.Uncompressed {
		r.end = x.footer.PlainSize
		file := io.NewSectionReader(x.archive, 0, r.end)
		return newFileTape(file, x.archive, 0, r.end, indexedBufferSize)
	}
	r.reachTo(m)
	if r.reachUnread(m, later) {
		for _, next := range r.members {
			if next.previousEnd < r.end || next.previousEnd > r.end && x.points[x.pointBefore(next.previousEnd)].Offset > r.end {
				break
			}
			r.reachTo(next)
		}
	}
	plain := x.plain(m.previousEnd, r.end, r.workers)
	return newPlainTape(plain, m.previousEnd, indexedBufferSize, plain.Close)
}

// reachUnread lets the reader read on through members after m whose data is not read. It
// returns false where an access point is faster: data up to it is checked in whole cells.
func (r *IndexedReader) reachUnread(m *Member, later []*Member) bool {
	x := r.index
	for _, next := range later {
		if x.points[x.pointBefore(next.previousEnd)].Offset > m.Offset+cellSize {
			return false
		}
		r.reachTo(next)
		m = next
	}
	return true
}

// reachTo lets the reader read up to the end of a member, or of the tarball after the last
// member.
func (r *IndexedReader) reachTo(m *Member) {
	r.end = m.end
	if m.isLast {
		r.end = r.index.footer.PlainSize
	}
}
