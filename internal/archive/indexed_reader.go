package archive

import (
	"io"
	"runtime"

	"pcap-replay/stream"
)

// IndexedReader goes to some members of an archive by its index. A member that is not
// read costs nothing.
type IndexedReader struct {
	index   *Indexed
	workers int
	members []*Member // those to come
	wanted  *Member   // the current one, until it is read
	reader  *Reader   // has been set down before a member; nil at first
	end     int64     // of what it can read
	err     error     // that of all calls to come
}

// Open opens the data of a member that Each gave. Any number may be open
// at the same time; each takes less than 4 MiB where the archive is gzip, else what
// its decompression takes.
func (x *Indexed) Open(m *Member) (io.ReadCloser, error) {
	r := &IndexedReader{index: x, workers: 1, wanted: m}
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
	switch {
	case r.err != nil:
	case r.reader != nil && r.reader.ended != nil:
		r.err = r.reader.ended
	case len(r.members) == 0:
		r.err = io.EOF
	}
	if r.err != nil {
		return nil, r.err
	}
	r.wanted, r.members = r.members[0], r.members[1:]
	return r.wanted, nil
}

// Inspect implements [Walker]: the index tells the Content.
func (r *IndexedReader) Inspect() {}

// Read implements [Walker].
func (r *IndexedReader) Read(p []byte) (int, error) {
	if err := r.reach(); err != nil {
		return 0, err
	}
	return r.reader.Read(p)
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
	if r.wanted != nil && r.err == nil {
		r.err = r.open(r.wanted)
		r.wanted = nil
	}
	return r.err
}

// open reads the header of a member, and checks that it is the one that the index means.
func (r *IndexedReader) open(want *Member) error {
	if r.reader == nil || want.Header < r.reader.tape.offset || want.Header >= r.end {
		if err := r.Close(); err != nil {
			return err
		}
		r.reader = &Reader{tape: r.newTape(want), compression: r.index.Compression()}
	}
	if err := r.reader.skipTo(want.Header); err != nil {
		return err
	}
	tape := r.reader.tape
	block := tape.peek()
	if tape.err != nil && tape.err != io.EOF {
		return tape.err
	}
	if len(block) < blockSize || !isHeader(block) {
		return indexErrorf("no member at offset %d", want.Header)
	}
	if _, err := r.reader.readHeader(); err != nil {
		return err
	}
	if m := r.reader.member; m.Name != want.Name || m.Size != want.Size || m.Offset != want.Offset || m.Type != want.Type {
		return indexErrorf("at offset %d is %q, not %q", want.Header, m.Name, want.Name)
	}
	return nil
}

// newTape reads from a member on to the last one that is reached sooner by reading
// on than from a point.
func (r *IndexedReader) newTape(m *Member) *tape {
	x := r.index
	if x.Compression() == stream.Uncompressed {
		r.end = x.footer.PlainSize
		file := io.NewSectionReader(x.archive, 0, r.end)
		return newFileTape(file, x.archive, 0, r.end)
	}
	r.end = m.end
	for _, next := range r.members {
		if next.Header < r.end || next.Header > r.end && x.points[x.pointBefore(next.Header)].Offset > r.end {
			break
		}
		r.end = next.end
	}
	plain := x.plain(m.Header, r.end, r.workers)
	return newPlainTape(plain, m.Header, plain.Close)
}
