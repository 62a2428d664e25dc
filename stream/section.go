package stream

import "encoding/binary"

// Format is the file format of a section.
type Format uint8

// The formats of a section.
const (
	FormatUnknown  Format = iota // no section has begun
	FormatPcap                   // microseconds, magic 0xa1b2c3d4
	FormatPcapNano               // nanoseconds, magic 0xa1b23c4d
	FormatModified               // Kuznetzov's modified pcap, magic 0xa1b2cd34
	FormatPcapNG                 // draft-ietf-opsawg-pcapng
)

// String returns the name that the tools print, such as "pcap-ns".
func (f Format) String() string {
	switch f {
	case FormatPcap:
		return "pcap"
	case FormatPcapNano:
		return "pcap-ns"
	case FormatModified:
		return "pcap-modified"
	case FormatPcapNG:
		return "pcapng"
	}
	return "unknown"
}

// Section describes one capture of a stream, as far as it has been read. It is a
// snapshot: later reads do not change it. Its LinkTypes are read-only.
type Section struct {
	// Index is the number of the section in the stream, counted from 0.
	Index int
	// Offset is where the section begins, in bytes from the start of the stream
	// after decompression.
	Offset int64
	Format Format
	// Compression is the compression of the section. If it was compressed more
	// than once, it is the innermost one.
	Compression Compression
	// ByteOrder is the byte order of the headers.
	ByteOrder binary.ByteOrder
	// LinkTypes holds the link type of the pcap header, or the link types of the
	// pcapng interfaces read so far, each once, in order of appearance. It is
	// empty if a pcapng section has described no interface yet.
	LinkTypes []LinkType
	// Snaplen is the snaplen of the pcap header, or the largest of the pcapng
	// interfaces read so far, in bytes. 0 means no limit.
	Snaplen uint32
}

// LinkType returns the first link type of the section. ok is false if it has none.
func (s *Section) LinkType() (t LinkType, ok bool) {
	if len(s.LinkTypes) == 0 {
		return 0, false
	}
	return s.LinkTypes[0], true
}

// addSnaplen records the snaplen of a pcapng interface.
func (s *Section) addSnaplen(snaplen uint32, first bool) {
	switch {
	case first:
		s.Snaplen = snaplen
	case s.Snaplen != 0 && snaplen != 0:
		s.Snaplen = max(s.Snaplen, snaplen)
	default:
		s.Snaplen = 0
	}
}
