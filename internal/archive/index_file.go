package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"pcap-replay/stream"
)

// The index of ARCHIVE is the file ARCHIVE.tarx. All numbers are little-endian.
//
//	header    which archive it belongs to: indexHeader
//	windows   one zstd frame for each point that has one
//	cells     CRC-32 of each MiB of the uncompressed tarball, 4 bytes each
//	points    where decompression can begin: 32 bytes each
//	members   one zstd frame: the members, and after them the damages
//	footer    where the tables are: indexFooter
//
// The checksum of a point is that of its cell up to the point. Every number in the file is
// checked before it is used: an index may be damaged, belong to another archive, or be
// malicious.
const (
	indexSuffix  = ".tarx"
	indexVersion = 2
)

var indexMagic = [8]byte{'p', 'c', 'a', 'p', 't', 'a', 'r', 'x'}

// indexHeader is at the beginning of the file.
type indexHeader struct {
	Magic       [8]byte
	Version     uint32
	Compression uint32
	ArchiveSize int64
	Sample      [sha256.Size]byte // of some blocks of the archive
	IgnoreZeros uint32            // 1: end markers are ignored
	Checksum    uint32            // CRC-32 of everything before it
}

// indexFooter is at the end of the file.
type indexFooter struct {
	PlainSize     int64 // of the uncompressed tarball
	End           int64 // where the last member ends
	Cells         int64 // where the table of cells begins
	CellCount     int64
	Points        int64
	PointCount    int64
	Members       int64
	MemberCount   int64
	DamageCount   int64
	CellsSum      uint32 // CRC-32 of each table
	PointsSum     uint32
	MembersSum    uint32
	Checksum      uint32 // of everything before it
	MagicBackward [8]byte
}

// accessPoint is a place in the archive at which decompression can start, with the window:
// the uncompressed data before it that the decompressor needs.
type accessPoint struct {
	Offset       int64 // in bytes of the uncompressed tarball
	Bit          int64 // in bits of the archive
	Window       int64 // where its window is in the index
	WindowLength uint32
	Sum          uint32 // CRC-32 of the cell before it
}

var (
	headerSize = int64(binary.Size(indexHeader{}))
	footerSize = int64(binary.Size(indexFooter{}))
	pointSize  = int64(binary.Size(accessPoint{}))
)

const (
	// maxWindowLength is the largest size of a compressed window in bytes.
	maxWindowLength = 40 << 10
	// maxPoints limits the memory for the points of an index to 64 MiB.
	maxPoints = 2 << 20
	// maxCells limits the time for the checksums of the cells: that of a tarball of 64 TiB.
	maxCells = 64 << 20
	// maxDamages limits the memory for the damages of an index to some MiB.
	maxDamages = 10_000
	// maxMembersTable limits the table of members, in bytes.
	maxMembersTable = 1 << 30
)

// ErrStale means that an index does not match the archive.
var ErrStale = errors.New("does not match the archive")

// IndexError says that an index is damaged or does not fit its archive.
type IndexError struct{ Reason string }

func (e *IndexError) Error() string { return "index is damaged: " + e.Reason }

func indexErrorf(format string, values ...any) error {
	return &IndexError{fmt.Sprintf(format, values...)}
}

// IndexPath is the path of the index of an archive.
func IndexPath(archive string) string { return archive + indexSuffix }

// IsIndexPath reports whether a file has the name of an index.
func IsIndexPath(path string) bool { return strings.HasSuffix(path, indexSuffix) }

// describeArchive fills in what identifies an archive: its size and a sample of its bytes.
// The time does not count, because a copy has another one.
func describeArchive(file Source) (h indexHeader, err error) {
	info, err := file.Stat()
	if err != nil {
		return h, err
	}
	if !info.Mode().IsRegular() {
		return h, errors.New("is not a regular file")
	}
	h = indexHeader{Magic: indexMagic, Version: indexVersion, ArchiveSize: info.Size()}
	const blocks, length = 16, 4096
	hash := sha256.New()
	block := make([]byte, length)
	for i := range int64(blocks) {
		offset := max(0, info.Size()-length) / (blocks - 1) * i
		n, err := file.ReadAt(block, offset)
		if err != nil && err != io.EOF {
			return h, err
		}
		hash.Write(block[:n])
	}
	hash.Sum(h.Sample[:0])
	return h, nil
}

// seal appends the checksum to a header or footer.
func (h indexHeader) seal() []byte {
	data, _ := binary.Append(nil, binary.LittleEndian, h)
	binary.LittleEndian.PutUint32(data[len(data)-4:], crc32.Checksum(data[:len(data)-4], crc32.IEEETable))
	return data
}

func (f indexFooter) seal() []byte {
	f.MagicBackward = indexMagic
	data, _ := binary.Append(nil, binary.LittleEndian, f)
	end := len(data) - len(f.MagicBackward) - 4
	binary.LittleEndian.PutUint32(data[end:], crc32.Checksum(data[:end], crc32.IEEETable))
	return data
}

// readHeader reads the header of an index.
func readIndexHeader(index io.ReaderAt) (h indexHeader, err error) {
	data := make([]byte, headerSize)
	if _, err := index.ReadAt(data, 0); err != nil {
		return h, indexErrorf("header: %v", err)
	}
	_, _ = binary.Decode(data, binary.LittleEndian, &h)
	switch {
	case h.Magic != indexMagic:
		return h, indexErrorf("it does not begin with the magic number")
	case h.Version != indexVersion:
		return h, fmt.Errorf("version %d, wanted %d", h.Version, indexVersion)
	case !bytes.Equal(h.seal(), data):
		return h, indexErrorf("header: wrong checksum")
	case stream.Compression(h.Compression) > stream.Bzip2:
		return h, indexErrorf("compression %d", h.Compression)
	}
	return h, nil
}

// readIndexFooter reads the footer and checks that the places of the tables are possible.
func readIndexFooter(index io.ReaderAt, size int64) (f indexFooter, err error) {
	if size < headerSize+footerSize {
		return f, indexErrorf("%d bytes are too few", size)
	}
	data := make([]byte, footerSize)
	if _, err := index.ReadAt(data, size-footerSize); err != nil {
		return f, indexErrorf("footer: %v", err)
	}
	_, _ = binary.Decode(data, binary.LittleEndian, &f)
	if !bytes.Equal(f.seal(), data) {
		return f, indexErrorf("footer: wrong checksum")
	}
	end := size - footerSize
	isTable := func(offset, count, unit, next int64) bool {
		return offset >= headerSize && offset <= next && count >= 0 && count <= (next-offset)/unit && offset+count*unit == next
	}
	switch {
	case f.PlainSize < 0 || f.End < 0 || f.End > f.PlainSize,
		f.Members < headerSize || f.Members > end || f.MemberCount < 0 || f.MemberCount > f.PlainSize/blockSize,
		f.DamageCount < 0 || f.DamageCount > maxDamages,
		end-f.Members > maxMembersTable,
		!isTable(f.Points, f.PointCount, pointSize, f.Members), f.PointCount > maxPoints,
		!isTable(f.Cells, f.CellCount, 4, f.Points), f.CellCount > maxCells,
		f.CellCount > 0 && f.CellCount != (f.PlainSize-1)/cellSize+1:
		return f, indexErrorf("footer: impossible numbers")
	}
	return f, nil
}

// newZstdDecoder returns a decoder that limits the memory for a frame of an index.
func newZstdDecoder(src io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
}
