package archive

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"pcap-replay/stream"
)

// inspectLimit is how much of a member Inspect reads, in bytes as stored and in bytes of
// the capture. A block of bzip2 or lz4, or the blocks before the first packet of a pcapng,
// may be long.
const inspectLimit = 4 << 20

// inspectBlock is how much Inspect reads at a time, in bytes.
const inspectBlock = 32 << 10

// maxLinkTypes limits the memory for the link types of a member. A pcapng may have 65,536.
const maxLinkTypes = 64

// Content is what is known of a member from its head.
type Content struct {
	Format      stream.Format // FormatUnknown if it is not a capture
	Compression stream.Compression
	LinkTypes   []stream.LinkType // as far as the head has them, up to maxLinkTypes
	// First is the time of the first packet in nanoseconds since the Unix epoch.
	First    int64
	HasFirst bool
}

// IsCapture reports whether the member is a capture.
func (c *Content) IsCapture() bool { return c.Format != stream.FormatUnknown }

// Inspect reads the head of the current member and fills in its Content. Call it before
// Read, which begins at the start of the data nevertheless. Read and Next report damage.
func (r *Reader) Inspect() {
	if r.member.Type != File || r.member.Size == 0 {
		return
	}
	source := &headSource{reader: r}
	if r.inspector == nil {
		r.inspector = stream.NewReaderSize(nil, inspectBlock)
	}
	r.member.Content = inspect(source, r.inspector)
	source.stop()
}

// inspect reads the first packet. The reader lends its memory, as there may be many members.
func inspect(src io.Reader, reader *stream.Reader) (c Content) {
	plain, compression, err := decompressHead(src)
	if err != nil {
		return c
	}
	defer plain.Close()
	reader.Reset(io.LimitReader(plain, inspectLimit))
	defer reader.Close()
	packet := make([]stream.Packet, 1)
	for {
		n, err := reader.Read(packet)
		section := reader.Section()
		if section.Format == stream.FormatUnknown {
			return c
		}
		c.Format, c.Compression = section.Format, compression
		c.LinkTypes = slices.Clone(section.LinkTypes[:min(len(section.LinkTypes), maxLinkTypes)])
		if n > 0 {
			c.First, c.HasFirst = packet[0].Time, !packet[0].Untimed
			return c
		}
		if damage := (*stream.Damage)(nil); err != nil && !errors.As(err, &damage) {
			return c
		}
	}
}

// decompressHead is stream.Decompress, but needs little memory for data that is not
// compressed. The caller has to limit how much it reads: compressed data may expand without
// end, and the search for a packet would not end either.
func decompressHead(src io.Reader) (io.ReadCloser, stream.Compression, error) {
	head := bufio.NewReaderSize(src, 16) // large reads pass it by
	magic, _ := head.Peek(10)
	const skippableFrame = "\x2a\x4d\x18" // after a first byte of 0x50 to 0x5f: LZ4 and zstd
	if stream.DetectCompression(magic) == stream.Uncompressed && !(len(magic) >= 4 && string(magic[1:4]) == skippableFrame) {
		return io.NopCloser(head), stream.Uncompressed, nil
	}
	return stream.Decompress(head)
}

// isCapture reports whether head is the beginning of a capture.
func isCapture(head []byte) bool {
	c := inspect(bytes.NewReader(head), stream.NewReaderSize(nil, len(head)+1))
	return c.IsCapture()
}

// headSource reads the head of a member for Inspect and keeps it. A decompressor may read
// ahead in a goroutine of its own, until stop is called.
type headSource struct {
	mutex   sync.Mutex
	reader  *Reader
	stopped bool
}

func (s *headSource) Read(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	head := &s.reader.head
	room := inspectLimit - len(head.data)
	if s.stopped || room == 0 {
		return 0, io.EOF
	}
	n, err := s.reader.readData(p[:min(len(p), room)])
	head.data = append(head.data, p[:n]...)
	return n, err
}

func (s *headSource) stop() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stopped = true
}

// headBuffer holds the data that Inspect has read, until Read returns it.
type headBuffer struct {
	data []byte
	next int
}

func (h *headBuffer) read(p []byte) int {
	n := copy(p, h.data[h.next:])
	h.next += n
	return n
}

func (h *headBuffer) reset() { h.data, h.next = h.data[:0], 0 }
