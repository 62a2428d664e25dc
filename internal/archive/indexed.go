package archive

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sort"
	"sync"

	"github.com/klauspost/compress/zstd"

	"pcap-replay/internal/gunzip"
	"pcap-replay/stream"
)

// Indexed is an archive with an up-to-date index. It is safe for concurrent use.
type Indexed struct {
	archive Source
	index   Source
	size    int64 // of the index
	header  indexHeader
	footer  indexFooter
	points  []accessPoint
	damages []*Damage
	gunzips sync.Pool // of *gunzip.Reader
	buffers sync.Pool // of *[cellSize]byte
	windows *zstd.Decoder
}

// Source is a file from which an archive or its index is read. ReadAt is safe for
// concurrent use.
type Source interface {
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
}

// OpenIndexed opens an archive and its index. The error wraps [fs.ErrNotExist] if there is
// no index, and [ErrStale] if the index belongs to another archive, or if the archive has
// changed since (its size or a sample of its bytes differs). It is an [*IndexError] if the
// index is damaged.
func OpenIndexed(path string) (*Indexed, error) {
	return OpenIndexedWith(path, func(path string) (Source, error) { return os.Open(path) })
}

// OpenIndexedWith is OpenIndexed, but opens the two files with open.
func OpenIndexedWith(path string, open func(path string) (Source, error)) (*Indexed, error) {
	index, err := open(IndexPath(path))
	if err != nil {
		return nil, err
	}
	archive, err := open(path)
	if err != nil {
		index.Close()
		return nil, err
	}
	x := &Indexed{archive: archive, index: index}
	x.gunzips.New = func() any { return new(gunzip.Reader) }
	x.buffers.New = func() any { return new([cellSize]byte) }
	if x.windows, err = newWindowDecoder(); err == nil {
		err = x.load()
	}
	if err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// Close closes the archive and its index.
func (x *Indexed) Close() error {
	freeResting(x)
	if x.windows != nil {
		x.windows.Close()
	}
	return errors.Join(x.archive.Close(), x.index.Close())
}

// Compression is the compression of the archive.
func (x *Indexed) Compression() stream.Compression { return stream.Compression(x.header.Compression) }

// IgnoresZeros reports whether the index was made with [Reader.IgnoreZeros].
func (x *Indexed) IgnoresZeros() bool { return x.header.IgnoreZeros != 0 }

func (x *Indexed) load() error {
	info, err := x.index.Stat()
	if err != nil {
		return err
	}
	x.size = info.Size()
	if x.header, err = readIndexHeader(x.index); err != nil {
		return err
	}
	now, err := describeArchive(x.archive)
	if err != nil {
		return err
	}
	if now.ArchiveSize != x.header.ArchiveSize || now.Sample != x.header.Sample {
		return ErrStale
	}
	if x.footer, err = readIndexFooter(x.index, x.size); err != nil {
		return err
	}
	if err := x.checkCells(); err != nil {
		return err
	}
	if err := x.loadPoints(); err != nil {
		return err
	}
	return x.checkMembers()
}

// checkCells checks that the table of cells is complete. Its length depends on the size of
// the tarball.
func (x *Indexed) checkCells() error {
	sum := crc32.New(crc32.IEEETable)
	if _, err := io.Copy(sum, io.NewSectionReader(x.index, x.footer.Cells, 4*x.footer.CellCount)); err != nil {
		return indexErrorf("cells: %v", err)
	}
	if sum.Sum32() != x.footer.CellsSum {
		return indexErrorf("cells: wrong checksum")
	}
	return nil
}

func (x *Indexed) loadPoints() error {
	if x.Compression() == stream.Uncompressed {
		if x.footer.PlainSize != x.header.ArchiveSize || x.footer.PointCount > 0 || x.footer.CellCount > 0 {
			return indexErrorf("footer: impossible numbers")
		}
		return nil
	}
	table := make([]byte, x.footer.PointCount*pointSize)
	if _, err := x.index.ReadAt(table, x.footer.Points); err != nil {
		return indexErrorf("points: %v", err)
	}
	if crc32.Checksum(table, crc32.IEEETable) != x.footer.PointsSum {
		return indexErrorf("points: wrong checksum")
	}
	x.points = make([]accessPoint, x.footer.PointCount)
	_, _ = binary.Decode(table, binary.LittleEndian, x.points)
	for i, p := range x.points {
		var previous accessPoint
		if i > 0 {
			previous = x.points[i-1]
		}
		switch {
		case i == 0 && p.Offset != 0,
			i > 0 && (p.Offset <= previous.Offset || p.Bit <= previous.Bit),
			p.Bit < 0 || p.Bit/8 >= x.header.ArchiveSize, p.Offset >= max(x.footer.PlainSize, 1),
			p.WindowLength > maxWindowLength,
			p.WindowLength > 0 && (p.Window < headerSize || p.Window > x.footer.Cells-int64(p.WindowLength)):
			return indexErrorf("point %d: impossible numbers", i+1)
		}
	}
	if len(x.points) == 0 || x.footer.CellCount == 0 && x.footer.PlainSize > 0 {
		return indexErrorf("no points")
	}
	return nil
}

// pointBefore is the last point at or before offset.
func (x *Indexed) pointBefore(offset int64) int {
	return max(0, sort.Search(len(x.points), func(i int) bool { return x.points[i].Offset > offset })-1)
}
