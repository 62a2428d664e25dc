package archive

import (
	"encoding/binary"
	"errors"
	"io"

	"pcap-replay/stream"
)

// Verify compares an index with its archive, which src reads from the start. The archive
// must decompress to the data of the checksums, its members must be those of the index, and
// decompression must be possible from every point.
func (x *Indexed) Verify(src io.Reader) error {
	sums := new(cellSums)
	if err := x.verifyMembers(src, sums); err != nil {
		return err
	}
	if x.Compression() == stream.Uncompressed {
		return nil
	}
	if sums.offset != x.footer.PlainSize {
		return indexErrorf("the tarball has %d bytes, not %d", sums.offset, x.footer.PlainSize)
	}
	if sums.offset%cellSize != 0 {
		sums.end()
	}
	table := make([]byte, 4*x.footer.CellCount)
	if _, err := x.index.ReadAt(table, x.footer.Cells); err != nil {
		return indexErrorf("cells: %v", err)
	}
	for i, sum := range sums.cells {
		if sum != binary.LittleEndian.Uint32(table[4*i:]) {
			return indexErrorf("the MiB at offset %d has another checksum", int64(i)*cellSize)
		}
	}
	buffer := make([]byte, cellSize)
	for i := range x.points {
		if err := x.verifyPoint(i, buffer); err != nil {
			return err
		}
	}
	return nil
}

// verifyMembers compares the members, and computes the checksums of the tarball.
func (x *Indexed) verifyMembers(src io.Reader, sums *cellSums) error {
	r, err := newReader(src, watcher{plain: func(plain io.Reader, _ stream.Compression) io.Reader { return &summingReader{plain, sums} }})
	if err != nil {
		return err
	}
	defer r.Close()
	r.IgnoreZeros = x.IgnoresZeros()
	next := func() (*Member, error) {
		for {
			m, err := r.Next()
			if !x.isKnown(err) {
				return m, err
			}
		}
	}
	err = x.Each(func(want *Member) error {
		m, err := next()
		if err != nil {
			return indexErrorf("member %q: %v", want.Name, err)
		}
		r.Inspect()
		if r.end != want.previousEnd {
			return indexErrorf("the member before %q ends at %d, not at %d", want.Name, r.end, want.previousEnd)
		}
		if !m.equals(want) {
			return indexErrorf("member %q at offset %d is %q at %d", want.Name, want.Header, m.Name, m.Header)
		}
		return nil
	})
	if err != nil {
		return err
	}
	m, err := next()
	var trailing *TrailingError
	var trailingData *stream.TrailingError
	switch {
	case err == nil:
		return indexErrorf("member %q is missing", m.Name)
	case r.end != x.footer.End:
		return indexErrorf("the last member ends at %d, not at %d", r.end, x.footer.End)
	case err != io.EOF && !errors.As(err, &trailing) && !errors.As(err, &trailingData):
		return err
	}
	return nil
}

// verifyPoint decompresses as far as the window of a point can have an effect.
func (x *Indexed) verifyPoint(i int, buffer []byte) error {
	s, err := x.openSpan(i, x.points[i].Offset+1)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, err = s.readPiece(buffer); err == io.EOF {
		err = nil
	}
	return err
}
