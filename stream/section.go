package stream

import "encoding/binary"

// Format is the file format of a section.
type Format uint8

// The formats of a section.
const (
	FormatUnknown  Format = iota
	FormatPcap            // microseconds, magic 0xa1b2c3d4
	FormatPcapNano        // nanoseconds, magic 0xa1b23c4d
	FormatModified        // Kuznetzov's modified pcap, magic 0xa1b2cd34
	FormatPcapNG
)

// String gives the name used in records.
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

// Section describes one capture of a stream.
type Section struct {
	// Index counts the sections of the stream from 0.
	Index int
	// Offset is where the section begins in bytes, after decompression.
	Offset int64
	Format Format
	// Compression is what the section came wrapped in.
	Compression Compression
	ByteOrder   binary.ByteOrder
	// LinkTypes holds the link type of the pcap header or those of the pcapng
	// interfaces seen so far, each once, in order. A pcapng section may have none.
	LinkTypes []LinkType
	// Snaplen is the largest snaplen of the header or the interfaces, in bytes;
	// 0 says that there is no limit.
	Snaplen uint32
}

// LinkType is the first link type of the section; ok is false where it has none.
func (s *Section) LinkType() (t LinkType, ok bool) {
	if len(s.LinkTypes) == 0 {
		return 0, false
	}
	return s.LinkTypes[0], true
}

// addSnaplen takes note of that of a pcapng interface.
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
