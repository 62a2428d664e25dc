package stream

import "io"

// WriterOptions says what a Writer makes.
type WriterOptions struct {
	// PcapNG writes pcapng with one interface for each link type, instead of
	// pcap with nanoseconds in this machine's byte order.
	PcapNG bool
	// Compression wraps the stream: Uncompressed, Gzip, LZ4 or Zstd.
	Compression Compression
	// LinkType stands in the header of a pcap without packets.
	LinkType LinkType
	// Snaplen stands in the header; 0 means MaxCaptureLength.
	Snaplen uint32
}

// Writer writes packets as one section. It is not safe for concurrent use.
type Writer struct{}

// NewWriter writes to dst, which it never closes. The header goes out with the
// first packet, or with Close.
func NewWriter(dst io.Writer, options WriterOptions) *Writer { return nil }

// Write appends packets to the section, copying their data. One of another link
// type than the first is a [*LinkTypeError], unless options.PcapNG is set.
func (w *Writer) Write(packets []Packet) error { return nil }

// Flush hands everything written so far to dst, compressed frames included.
// Call it when the reader of the packets would wait: see [Reader.Buffered].
func (w *Writer) Flush() error { return nil }

// Close writes the header if no packet did, ends the compressed stream and
// flushes.
func (w *Writer) Close() error { return nil }

// LinkTypeError says that a pcap cannot hold packets of two link types.
type LinkTypeError struct{ First, Other LinkType }

func (e *LinkTypeError) Error() string {
	return "link type " + e.Other.String() + " after " + e.First.String() + ": one pcap holds one link type"
}
