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
	// minPart is the length in bytes from which reading a part on its own core is worth it.
	minPart = 16 << 20
	// maxLeap is the largest time between two parts, in nanoseconds. A Reader checks
	// records more closely if they are far from the one before.
	maxLeap = uint64(24 * time.Hour)
	// The lengths of headers, in bytes: pcap-savefile(5).
	fileHeader   = 24
	recordHeader = 16
)

// TakeParts is [Take] for a plain pcap file of size bytes, and reads several parts of it at
// the same time. If ok is false, the file must be read in one piece: it is small, damaged,
// compressed, a pcapng, holds several sections, or is out of order from one part to
// another.
//
// The beginning of a part is a guess at first. It is proved by the part before it, which
// must arrive at a record there without damage. The first part begins where the file
// begins.
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

// readHeader reads the file header of a pcap. ok is false if there is none.
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

// readerAt returns a Reader that starts at an offset of the file.
func readerAt(file io.ReaderAt, header []byte, offset, size int64) *stream.Reader {
	return stream.NewReader(io.MultiReader(bytes.NewReader(header), io.NewSectionReader(file, offset, size-offset)))
}

// findRecord looks for a record at or after an offset, as a Reader does after a damaged
// one.
func findRecord(file io.ReaderAt, header []byte, size, offset int64) int64 {
	broken := append(bytes.Clone(header), bytes.Repeat([]byte{0xff}, recordHeader)...)
	r := readerAt(file, broken, offset, size)
	_, _ = r.Read(make([]stream.Packet, 1)) // reports the damage
	return offset + r.Offset() - int64(len(broken))
}

// readPart reads up to the record that begins at end. It returns whether there is one, and
// everything before it is intact.
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

// join adds the next part and returns whether it could. It cannot if a packet is earlier
// than one of another part, because this disorder cannot be counted.
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
