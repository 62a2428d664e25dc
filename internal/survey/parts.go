package survey

import (
	"bytes"
	"io"
	"math"
	"sync"
	"time"

	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

const (
	// minPart is how long a part of a file must be to be worth a core, in bytes.
	minPart = 16 << 20
	// maxLeap is how far apart two parts may be, in nanoseconds. A Reader looks
	// closer at records that are far from the one before.
	maxLeap = uint64(24 * time.Hour)
	// The lengths of headers, in bytes: pcap-savefile(5).
	fileHeader   = 24
	recordHeader = 16
)

// TakeParts is [Take] for a plain pcap file of size bytes, with several parts of it
// read at the same time. ok is false where they do not make a whole, and the file
// must be read in one piece: it is small, damaged, compressed, a pcapng, holds
// several sections, or is out of order from one part to another.
//
// Where a part begins is a guess at first. It is proved right by the part before
// it, which must come to a record there without damage: so did the one before
// that, and the first begins where the file does.
func TakeParts(file io.ReaderAt, size int64, parts int) (capture record.Capture, ok bool) {
	parts = int(min(int64(parts), size/minPart))
	if parts < 2 {
		return capture, false
	}
	header, ok := readHeader(file)
	if !ok {
		return capture, false
	}
	starts := make([]int64, parts+1)
	starts[0], starts[parts] = fileHeader, size
	for i := 1; i < parts; i++ {
		starts[i] = findRecord(file, header, size, size/int64(parts)*int64(i))
	}
	surveys := make([]survey, parts)
	readers := make([]*stream.Reader, parts)
	sound := make([]bool, parts)
	var reading sync.WaitGroup
	for i := range parts {
		readers[i] = readerAt(file, header, starts[i], size)
		reading.Go(func() { sound[i] = surveys[i].readPart(readers[i], fileHeader+starts[i+1]-starts[i]) })
	}
	reading.Wait()
	whole := &surveys[0]
	for i := range parts {
		if !sound[i] || i > 0 && !whole.join(&surveys[i]) {
			return capture, false
		}
	}
	return whole.end(readers[0]), true
}

// readHeader reads the file header of a pcap; ok is false where there is none.
func readHeader(file io.ReaderAt) (header []byte, ok bool) {
	header = make([]byte, fileHeader)
	if _, err := file.ReadAt(header, 0); err != nil {
		return nil, false
	}
	r := stream.NewReader(bytes.NewReader(header))
	if _, err := r.Read(make([]stream.Packet, 1)); err != io.EOF || r.Sections() != 1 {
		return nil, false
	}
	format := r.Section().Format
	return header, format == stream.FormatPcap || format == stream.FormatPcapNano
}

// readerAt reads a file from an offset on as if the records before were not there.
func readerAt(file io.ReaderAt, header []byte, offset, size int64) *stream.Reader {
	return stream.NewReader(io.MultiReader(bytes.NewReader(header), io.NewSectionReader(file, offset, size-offset)))
}

// findRecord looks for a record at or behind an offset, as a Reader does behind a
// broken one.
func findRecord(file io.ReaderAt, header []byte, size, offset int64) int64 {
	broken := append(bytes.Clone(header), bytes.Repeat([]byte{0xff}, recordHeader)...)
	r := readerAt(file, broken, offset, size)
	_, _ = r.Read(make([]stream.Packet, 1)) // gives the damage
	return offset + r.Offset() - int64(len(broken))
}

// readPart reads up to the record that begins at end, and says whether one does,
// and all was sound before it.
func (s *survey) readPart(r *stream.Reader, end int64) bool {
	s.latest = math.MinInt64
	batch := make([]stream.Packet, batchSize)
	for r.Offset() < end {
		n, err := r.Read(batch)
		if n == 0 || err != nil {
			return false
		}
		offset := r.Offset()
		for ; offset > end && n > 0; n-- {
			offset -= recordHeader + int64(len(batch[n-1].Data))
		}
		s.add(batch[:n])
		if r.Offset() > end && offset != end {
			return false
		}
	}
	s.update(r.Section())
	return r.Sections() == 1
}

// join adds the part that follows, and says whether it could: a packet that is
// earlier than one of another part cannot be counted any more.
func (s *survey) join(next *survey) bool {
	if !s.timed || !next.timed || next.earliest < s.latest || uint64(next.first)-uint64(s.last) > maxLeap {
		return false
	}
	c, n := &s.capture, &next.capture
	c.Packets += n.Packets
	c.Bytes += n.Bytes
	c.WireBytes += n.WireBytes
	c.MaxPacket = max(c.MaxPacket, n.MaxPacket)
	c.Truncated += n.Truncated
	c.Overlong += n.Overlong
	c.OutOfOrder += n.OutOfOrder
	s.disorder = max(s.disorder, next.disorder)
	s.last, s.latest = next.last, next.latest
	return true
}
