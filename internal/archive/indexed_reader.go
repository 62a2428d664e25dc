package archive

import (
	"errors"
	"io"
	"reflect"
	"runtime"

	"pcap-replay/stream"
)

// IndexedReader goes to some members of an archive by its index. What the index says of
// a member is compared with the archive when that member is read, or one behind it. As
// long as none is read, nothing of the archive is.
type IndexedReader struct {
	index     *Indexed
	workers   int
	members   []*Member // those to come
	unchecked []*Member // those that Next gave and that have not been compared yet
	current   *Member   // what Next gave last
	reader    *Reader   // has been set down before a member; nil at first
	end       int64     // of what it can read
	err       error     // that of all calls to come
}

// Open opens the data of a member that Each gave. Any number may be open
// at the same time; each takes less than 4 MiB where the archive is gzip, else what
// its decompression takes.
func (x *Indexed) Open(m *Member) (io.ReadCloser, error) {
	r := &IndexedReader{index: x, workers: 1, current: m, unchecked: []*Member{m}}
	if err := r.reach(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// NewReader walks through some members that Each gave, in their order. What is
// compressed is decompressed on all cores.
func (x *Indexed) NewReader(members []*Member) *IndexedReader {
	return &IndexedReader{index: x, workers: min(runtime.GOMAXPROCS(0), maxWorkers), members: members}
}

// Close frees what decompression holds.
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

// finish compares what has not been yet, if anything has been read.
func (r *IndexedReader) finish() error {
	if r.reader == nil {
		return io.EOF
	}
	return r.compareSkipped()
}

// CheckSkipped compares the members that have not been compared yet, also where none has
// been read, and checks that no member follows the last one. It is called behind the last
// member, and returns nil if the archive is as the index says.
func (r *IndexedReader) CheckSkipped() error {
	if r.reader != nil {
		return nil // Next has done so
	}
	r.err = nil // so far it is the end of the members
	err := io.EOF
	switch {
	case r.current != nil:
		err = r.compareSkipped()
	case r.index.footer.MemberCount == 0:
		r.setDown(&Member{isLast: true})
		err = r.checkEnd()
	}
	r.err = err
	if err == io.EOF {
		return nil
	}
	return err
}

// compareSkipped gives io.EOF if all is as the index says.
func (r *IndexedReader) compareSkipped() error {
	if err := r.reach(); err != nil {
		return err
	}
	if r.current.isLast {
		return r.checkEnd()
	}
	return io.EOF
}

// Inspect implements [Walker]: the index tells the Content.
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
			return n, known // it says more of the reason
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

// reach goes to the data of the current member, unless they are reached.
func (r *IndexedReader) reach() error {
	for i := 0; i < len(r.unchecked) && r.err == nil; i++ {
		r.err = r.open(r.unchecked[i])
	}
	r.unchecked = r.unchecked[:0]
	return r.err
}

// open goes to a member, and checks that it is as the index says: that it is the next one
// where the one before it ends.
func (r *IndexedReader) open(want *Member) error {
	if r.reader == nil || want.previousEnd < r.reader.tape.offset || want.previousEnd >= r.end {
		if err := r.Close(); err != nil {
			return err
		}
		r.setDown(want)
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

// setDown begins to read where the member before m ends.
func (r *IndexedReader) setDown(m *Member) {
	r.reader = &Reader{tape: r.newTape(m), compression: r.index.Compression(), IgnoreZeros: r.index.IgnoresZeros()}
}

// next goes to the next member, past the damage of which the index says that it is there.
func (r *IndexedReader) next() (*Member, error) {
	for {
		m, err := r.reader.Next()
		if !r.index.isKnown(err) {
			return m, err
		}
	}
}

// equals says whether two members are the same, but for what only an index knows.
func (m *Member) equals(other *Member) bool {
	copied := *m
	copied.previousEnd, copied.end, copied.isLast = other.previousEnd, other.end, other.isLast
	if m.ModTime.Equal(other.ModTime) {
		copied.ModTime = other.ModTime
	}
	return reflect.DeepEqual(&copied, other)
}

// checkEnd checks that no member stands behind the last one. It gives io.EOF if so.
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

// newTape reads from the end of the member before m on, to the last one that is reached
// sooner by reading on than from a point.
func (r *IndexedReader) newTape(m *Member) *tape {
	x := r.index
	if x.Compression() == stream.Uncompressed {
		r.end = x.footer.PlainSize
		file := io.NewSectionReader(x.archive, 0, r.end)
		return newFileTape(file, x.archive, 0, r.end)
	}
	r.reachTo(m)
	for _, next := range r.members {
		if next.previousEnd < r.end || next.previousEnd > r.end && x.points[x.pointBefore(next.previousEnd)].Offset > r.end {
			break
		}
		r.reachTo(next)
	}
	plain := x.plain(m.previousEnd, r.end, r.workers)
	return newPlainTape(plain, m.previousEnd, plain.Close)
}

// reachTo has the reader reach to the end of a member, and behind the last one to that of
// the tarball.
func (r *IndexedReader) reachTo(m *Member) {
	r.end = m.end
	if m.isLast {
		r.end = r.index.footer.PlainSize
	}
}
