package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"pcap-replay/internal/files"
	"pcap-replay/internal/gunzip"
	"pcap-replay/stream"
)

const (
	// pointDistance is the distance between access points in bytes of the tarball,
	// unless blocks are larger.
	pointDistance = 16 << 20
	// memberDistance is the minimum distance of a point before a member from the last
	// point, unless its window takes less than cheapWindow bytes.
	memberDistance = 1 << 20
	cheapWindow    = 64
	// indexShare limits the windows of the points before members to one byte for so many
	// bytes of the tarball. A small tarball may have more.
	indexShare     = 1250
	indexAllowance = 64 << 10
	// candidateDistance is the distance between the places that may become points, and
	// candidateReach is how far back they are kept: further than the archive is read ahead.
	candidateDistance = 64 << 10
	candidateReach    = 1 << 20
)

// indexBuilder makes an index while a Reader reads an archive.
type indexBuilder struct {
	archive     *os.File
	modified    time.Time // of the archive, when the run began
	path        string    // of the index
	file        *os.File
	header      indexHeader
	compression stream.Compression
	starts      []blockStart // of blocks to come
	sums        cellSums
	points      []*candidate
	unchecked   []*candidate // the last ones, whose cell has not ended
	waiting     []*candidate // recent places, the oldest first
	spare       [][]byte     // windows that are not needed any more
	members     *memberWriter
	last        *Member // not in members yet, because its content may still become known
	damages     []*Damage

	checks  chan *candidate
	checked chan error // the result of the check
	gunzip  gunzip.Reader
	encoder *zstd.Encoder
	written int64        // bytes of the file; belongs to the checker while it runs
	windows atomic.Int64 // bytes of windows in the file
}

// candidate is a place that may become a point.
type candidate struct {
	accessPoint
	window  []byte
	chosen  bool
	cellSum uint32 // of its whole cell
	length  int64  // of the cell from the candidate on
	wrong   bool   // decompression cannot begin here
}

// NewIndexingReader is NewReader, and also makes the index of the archive. Call Inspect for
// each member, because the index has its Content. src reads the archive from its start.
// Parts of the archive are read a second time, to check the access points. FinishIndex
// gives the index its name.
func NewIndexingReader(src io.Reader, archive *os.File) (*Reader, error) {
	header, err := describeArchive(archive)
	if err != nil {
		return nil, err
	}
	b := &indexBuilder{
		archive: archive, path: IndexPath(archive.Name()), header: header, members: newMemberWriter(),
		written: headerSize, checks: make(chan *candidate, 4), checked: make(chan error, 1),
	}
	b.encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)) // the option is valid
	info, err := archive.Stat()
	if err != nil {
		return nil, err
	}
	b.modified = info.ModTime()
	if err := files.CheckReplaceable(b.path); err != nil {
		return nil, err
	}
	// Windows contain data of the archive, so the index must not be more readable than it.
	if b.file, err = os.OpenFile(files.Beside(b.path), os.O_RDWR|os.O_CREATE|os.O_EXCL, info.Mode().Perm()&0o666|0o200); err != nil {
		return nil, err
	}
	if !files.KeepAccessList(b.file, archive.Name()) {
		_ = b.file.Chmod(info.Mode().Perm() & 0o606)
	}
	go b.check(b.checks)
	r, err := newReader(src, watcher{b.boundary, b.watch})
	if err != nil {
		b.abandon()
		return nil, err
	}
	r.builder = b
	return r, nil
}

// watch returns src, and adds the data that is read from it to the checksums.
func (b *indexBuilder) watch(src io.Reader, compression stream.Compression) io.Reader {
	b.compression = compression
	if compression == stream.Gzip || compression == stream.Bzip2 {
		return &summingReader{src, &b.sums}
	}
	b.starts = findBlocks(b.archive, b.header.ArchiveSize, compression)
	if len(b.starts) == 0 || b.starts[0].offset != 0 {
		b.starts = []blockStart{{}}
	}
	return &startsReader{src, b}
}

// startsReader calls boundary for the blocks that findBlocks found.
type startsReader struct {
	src     io.Reader
	builder *indexBuilder
}

func (r *startsReader) Read(p []byte) (int, error) {
	b := r.builder
	for len(b.starts) > 0 && b.starts[0].offset <= b.sums.offset {
		if start := b.starts[0]; start.offset == b.sums.offset {
			b.boundary(start.offset, start.place*8, start.prefix)
		}
		b.starts = b.starts[1:]
	}
	if len(b.starts) > 0 {
		p = p[:min(int64(len(p)), b.starts[0].offset-b.sums.offset)]
	}
	n, err := r.src.Read(p)
	b.sums.add(p[:n])
	return n, err
}

// boundary is called for a place where decompression can begin. Everything before it has
// been read through watch.
func (b *indexBuilder) boundary(offset, bit int64, window []byte) {
	for len(b.waiting) > 1 && b.waiting[1].Offset < offset-candidateReach {
		b.forget(b.waiting[0])
		b.waiting = b.waiting[1:]
	}
	if n := len(b.waiting); n > 0 && offset-b.waiting[n-1].Offset < candidateDistance {
		return
	}
	c := &candidate{accessPoint: accessPoint{Offset: offset, Bit: bit, Sum: b.sums.sum}, window: append(b.unused(), window...)}
	b.waiting = append(b.waiting, c)
	if len(b.points) == 0 || offset-b.lastPoint() >= pointDistance {
		b.choose(c)
	}
	b.sendChecks()
}

func (b *indexBuilder) lastPoint() int64 { return b.points[len(b.points)-1].Offset }

// member is called for each member, with the end of the one before it. It adds a point
// before the member, from which the member can be reached quickly.
func (b *indexBuilder) member(m *Member, previousEnd int64) error {
	var best *candidate
	for len(b.waiting) > 0 && b.waiting[0].Offset <= previousEnd {
		if best != nil {
			b.forget(best)
		}
		best, b.waiting = b.waiting[0], b.waiting[1:]
	}
	if best != nil {
		b.waiting = append([]*candidate{best}, b.waiting...) // for another member near it
		isCheap := best.Offset > b.lastPoint() && len(best.window) < cheapWindow && len(b.points) < maxPoints/2
		isFar := best.Offset >= b.lastPoint()+memberDistance
		if isCheap || isFar && b.windows.Load() < indexAllowance+m.Header/indexShare {
			b.choose(best)
		}
	}
	return b.flushMember(m, previousEnd)
}

// flushMember writes the member before m, which ends at end.
func (b *indexBuilder) flushMember(m *Member, end int64) error {
	last := b.last
	b.last = m
	if last == nil {
		return nil
	}
	last.end = end
	return b.members.add(last)
}

// damage remembers err if it is damage of the tarball. It may be called on nil.
func (b *indexBuilder) damage(err error) {
	var damage *Damage
	if b != nil && len(b.damages) <= maxDamages && errors.As(err, &damage) {
		b.damages = append(b.damages, damage)
	}
}

// forget drops a candidate, and reuses the memory of its window.
func (b *indexBuilder) forget(c *candidate) {
	if !c.chosen {
		b.spare = append(b.spare, c.window)
	}
}

func (b *indexBuilder) unused() []byte {
	n := len(b.spare)
	if n == 0 {
		return nil
	}
	window := b.spare[n-1]
	b.spare = b.spare[:n-1]
	return window[:0]
}

func (b *indexBuilder) choose(c *candidate) {
	c.chosen = true
	b.points = append(b.points, c)
	b.unchecked = append(b.unchecked, c)
}

// sendChecks sends the points whose cell has ended to the checker.
func (b *indexBuilder) sendChecks() {
	for len(b.unchecked) > 0 {
		c := b.unchecked[0]
		cell := c.Offset / cellSize
		if cell >= int64(len(b.sums.cells)) {
			return
		}
		c.cellSum, c.length = b.sums.cells[cell], min((cell+1)*cellSize, b.sums.offset)-c.Offset
		b.unchecked = b.unchecked[1:]
		b.checks <- c
	}
}

// check decompresses from each point, and compares the result with the checksums.
func (b *indexBuilder) check(checks <-chan *candidate) {
	var err error
	for c := range checks {
		if err == nil {
			err = b.checkPoint(c)
		}
	}
	b.checked <- err
}

func (b *indexBuilder) checkPoint(c *candidate) error {
	src := io.NewSectionReader(b.archive, c.Bit/8, b.header.ArchiveSize-c.Bit/8)
	var plain io.Reader = &b.gunzip
	if b.compression == stream.Gzip {
		b.gunzip.ResumeTracking(src, &gunzip.Point{Bit: c.Bit, Offset: c.Offset, Window: c.window})
	} else {
		resumed, err := resume(b.compression, src, c.Bit, c.window)
		if err != nil {
			return err
		}
		defer resumed.Close()
		plain = resumed
	}
	sum := crc32.New(crc32.IEEETable)
	_, err := io.CopyN(sum, plain, c.length)
	if err != nil || sum.Sum32() != sumBetween(c.Sum, c.cellSum, c.length) {
		c.wrong = true
		return nil
	}
	if b.compression == stream.Gzip {
		_, _ = io.CopyN(io.Discard, plain, max(0, gunzip.WindowSize-c.length)) // it may end or be damaged later
		b.gunzip.TrimWindow(c.window)
	}
	return b.writeWindow(c)
}

func (b *indexBuilder) writeWindow(c *candidate) error {
	var window []byte
	if len(c.window) > 0 {
		window = b.encoder.EncodeAll(c.window, nil)
	}
	c.window = nil
	c.Window, c.WindowLength = b.written, uint32(len(window))
	b.windows.Add(int64(len(window)))
	return b.write(window)
}

// rightPoints returns the points without those that the checks found wrong: findBlocks
// derives them from sizes, which may be wrong.
func (b *indexBuilder) rightPoints(plainSize int64) (points []accessPoint, err error) {
	for _, c := range b.points {
		switch {
		case c.Offset > 0 && c.Offset >= plainSize: // an empty block at the end
		case !c.wrong:
			points = append(points, c.accessPoint)
		case c.Offset == 0 || b.compression == stream.Gzip || b.compression == stream.Bzip2:
			return nil, fmt.Errorf("offset %d: decompression from here gives different data", c.Offset)
		}
	}
	return points, nil
}

func (b *indexBuilder) write(data []byte) error {
	n, err := b.file.WriteAt(data, b.written)
	b.written += int64(n)
	return err
}

// finish writes the tables and gives the index its name.
func (b *indexBuilder) finish(plainSize, end int64, ignoreZeros bool) error {
	if b.sums.offset%cellSize != 0 {
		b.sums.end()
	}
	b.sendChecks()
	if err := b.stopChecks(); err != nil {
		return err
	}
	if err := b.flushMember(nil, end); err != nil {
		return err
	}
	if len(b.damages) > maxDamages {
		return fmt.Errorf("the tarball is damaged in more than %d places", maxDamages)
	}
	if err := b.members.finish(b.damages); err != nil {
		return err
	}
	if b.compression == stream.Uncompressed {
		b.sums.cells, b.points = nil, nil
	}
	right, err := b.rightPoints(plainSize)
	if err != nil {
		return err
	}
	cells, _ := binary.Append(nil, binary.LittleEndian, b.sums.cells)
	points, _ := binary.Append(nil, binary.LittleEndian, right)
	members := b.members.data.Bytes()
	footer := indexFooter{
		PlainSize: plainSize, End: b.members.end,
		Cells: b.written, CellCount: int64(len(b.sums.cells)), CellsSum: crc32.Checksum(cells, crc32.IEEETable),
		Points: b.written + int64(len(cells)), PointCount: int64(len(right)), PointsSum: crc32.Checksum(points, crc32.IEEETable),
		Members: b.written + int64(len(cells)+len(points)), MemberCount: b.members.count, DamageCount: int64(len(b.damages)), MembersSum: crc32.Checksum(members, crc32.IEEETable),
	}
	for _, table := range [][]byte{cells, points, members, footer.seal()} {
		if err := b.write(table); err != nil {
			return err
		}
	}
	b.header.Compression, b.header.IgnoreZeros = uint32(b.compression), uint32(present(ignoreZeros))
	if _, err := b.file.WriteAt(b.header.seal(), 0); err != nil {
		return err
	}
	return b.commit()
}

// commit gives the index its name, if the archive has not changed in the meantime.
func (b *indexBuilder) commit() error {
	now, err := describeArchive(b.archive)
	if err != nil {
		return err
	}
	info, err := b.archive.Stat()
	if err != nil {
		return err
	}
	now.Compression, now.IgnoreZeros = b.header.Compression, b.header.IgnoreZeros
	if now != b.header || !info.ModTime().Equal(b.modified) {
		return errors.New("the archive has changed during the run")
	}
	if err := b.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(b.file.Name(), b.path); err != nil {
		return err
	}
	b.file = nil
	return nil
}

func (b *indexBuilder) stopChecks() error {
	if b.checks == nil {
		return nil
	}
	close(b.checks)
	b.checks = nil
	return <-b.checked
}

// abandon removes an index that is not finished. It may be called on nil.
func (b *indexBuilder) abandon() {
	if b == nil {
		return
	}
	_ = b.stopChecks()
	if b.file != nil {
		b.file.Close()
		os.Remove(b.file.Name())
		b.file = nil
	}
}
