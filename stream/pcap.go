package stream

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The magic numbers of a file header, read in the byte order of the file. See
// pcap-savefile(5); the modified format is that of Alexey Kuznetzov's patches.
const (
	magicMicroseconds = 0xa1b2c3d4
	magicNanoseconds  = 0xa1b23c4d
	magicModified     = 0xa1b2cd34
	magicSectionBlock = 0x0a0d0d0a // a palindrome: the same in both byte orders
	magicByteOrder    = 0x1a2b3c4d
)

const (
	fileHeaderLength     = 24
	recordHeaderLength   = 16
	modifiedHeaderLength = 24 // adds interface index, protocol and packet type
)

// pcapLayout is how the records of a pcap section are laid out.
type pcapLayout struct {
	swapped          bool   // the file has the byte order that is not little-endian
	isUncommon       bool   // a header takes more than reading four numbers
	headerLength     int    // of a record, in bytes
	fractionLimit    uint32 // fractions a second
	fractionLength   int64  // nanoseconds a fraction
	lengthsSwapped   bool   // the two lengths stand the other way round: before version 2.3
	lengthsUncertain bool   // version 2.3 was written both ways
	linkType         LinkType
	maxLength        uint32 // the largest sound captured length
}

// recordHeader is a record's header as numbers.
type recordHeader struct {
	seconds, fraction, captured, wire uint32
}

// fileFormat tells the pcap format of a magic number read as little-endian;
// swapped says that the file is big-endian.
func fileFormat(magic uint32) (format Format, swapped bool) {
	switch magic {
	case magicMicroseconds:
		return FormatPcap, false
	case magicNanoseconds:
		return FormatPcapNano, false
	case magicModified:
		return FormatModified, false
	case 0xd4c3b2a1:
		return FormatPcap, true
	case 0x4d3cb2a1:
		return FormatPcapNano, true
	case 0x34cdb2a1:
		return FormatModified, true
	case magicSectionBlock:
		return FormatPcapNG, false
	}
	return FormatUnknown, false
}

// isFileMagic says whether a capture may begin here.
func isFileMagic(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	format, _ := fileFormat(binary.LittleEndian.Uint32(head))
	return format != FormatUnknown
}

// isFileHeader says whether a capture surely begins here, in the middle of a
// stream. A pcap header could be a record's header as well, of the year 2055.
func isFileHeader(head []byte) bool {
	if len(head) < fileHeaderLength {
		return false
	}
	format, swapped := fileFormat(binary.LittleEndian.Uint32(head))
	switch format {
	case FormatUnknown:
		return false
	case FormatPcapNG:
		order := binary.LittleEndian.Uint32(head[8:])
		return order == magicByteOrder || order == bits.ReverseBytes32(magicByteOrder)
	}
	version := binary.LittleEndian.Uint32(head[4:])
	if swapped {
		version = bits.ReverseBytes32(version)
		version = version<<16 | version>>16 // two numbers of 16 bits
	}
	return version&0xffff == 2 && version>>16 <= 4
}

// parseFileHeader reads a pcap file header. oddity says what is wrong with one
// that can be read all the same.
func parseFileHeader(head []byte) (section Section, layout pcapLayout, oddity string) {
	format, swapped := fileFormat(binary.LittleEndian.Uint32(head))
	section = Section{Format: format, ByteOrder: binary.LittleEndian}
	if swapped {
		section.ByteOrder = binary.BigEndian
	}
	order := section.ByteOrder
	major, minor := order.Uint16(head[4:]), order.Uint16(head[6:])
	section.Snaplen = order.Uint32(head[16:])
	// The upper half holds the length of the frame check sequence and zeros.
	linkType := LinkType(order.Uint32(head[20:]))

	layout = pcapLayout{
		swapped: swapped, headerLength: recordHeaderLength, fractionLimit: 1e6, fractionLength: 1e3,
		linkType: linkType, maxLength: linkType.MaxCaptureLength(),
	}
	switch format {
	case FormatPcapNano:
		layout.fractionLimit, layout.fractionLength = 1e9, 1
	case FormatModified:
		layout.headerLength = modifiedHeaderLength
	}
	switch {
	case major == 2 && minor == 4:
	case major == 2 && minor < 3, major == 543: // 543.0 is what a BSD/OS once wrote
		layout.lengthsSwapped = true
	case major == 2 && minor == 3:
		layout.lengthsUncertain = true
	default:
		oddity = fmt.Sprintf("file header: version %d.%d, wanted 2.4; read as 2.4", major, minor)
	}
	layout.isUncommon = swapped || layout.lengthsSwapped || layout.lengthsUncertain
	return section, layout, oddity
}

// header reads a record header from at least headerLength bytes.
func (l *pcapLayout) header(b []byte) recordHeader {
	_ = b[recordHeaderLength-1]
	h := recordHeader{
		seconds:  binary.LittleEndian.Uint32(b),
		fraction: binary.LittleEndian.Uint32(b[4:]),
		captured: binary.LittleEndian.Uint32(b[8:]),
		wire:     binary.LittleEndian.Uint32(b[12:]),
	}
	if l.swapped {
		h.seconds, h.fraction = bits.ReverseBytes32(h.seconds), bits.ReverseBytes32(h.fraction)
		h.captured, h.wire = bits.ReverseBytes32(h.captured), bits.ReverseBytes32(h.wire)
	}
	if l.lengthsSwapped || l.lengthsUncertain && h.captured > h.wire {
		h.captured, h.wire = h.wire, h.captured
	}
	return h
}

// isSound says whether the fields of a header are what they should be.
func (l *pcapLayout) isSound(h recordHeader) bool {
	return h.captured <= h.wire && h.captured <= l.maxLength && h.fraction < l.fractionLimit
}

// isOdd says whether a record needs a closer look: something in its header is
// unsound, its time is far from that of the record before, or it could as well be
// the header of another capture.
func (r *Reader) isOdd(h recordHeader, header []byte) bool {
	return !r.layout.isSound(h) || r.hasTime && !isNear(r.lastTime, r.layout.time(h)) || isFileMagic(header)
}

// time is the timestamp in nanoseconds since the Unix epoch. Seconds are
// unsigned: they last until 2106.
func (l *pcapLayout) time(h recordHeader) int64 {
	return int64(h.seconds)*1e9 + int64(h.fraction)*l.fractionLength
}

// takeRecords puts the whole records of the block into dst, up to the first odd
// one that nobody has judged. It is where the time goes, so it does by hand what
// header, time and isOdd say.
func (r *Reader) takeRecords(dst []Packet) (n int) {
	layout := &r.layout
	headerLength := layout.headerLength
	for n < len(dst) {
		unread := r.block[r.start:r.end]
		if len(unread) < headerLength || len(unread) < recordHeaderLength {
			break
		}
		magic := binary.LittleEndian.Uint32(unread)
		h := recordHeader{magic, binary.LittleEndian.Uint32(unread[4:]), binary.LittleEndian.Uint32(unread[8:]), binary.LittleEndian.Uint32(unread[12:])}
		if layout.isUncommon {
			h = layout.header(unread)
		}
		time := int64(h.seconds)*1e9 + int64(h.fraction)*layout.fractionLength
		isOdd := h.captured > h.wire || h.captured > layout.maxLength || h.fraction >= layout.fractionLimit ||
			r.hasTime && uint64(time-r.lastTime+resyncTime) > uint64(2*resyncTime) || mayBeMagic(magic) && isFileMagic(unread)
		if isOdd && r.Offset() != r.judged {
			break
		}
		length := headerLength + int(h.captured)
		if len(unread) < length {
			break
		}
		packet := &dst[n] // a literal would be put together elsewhere first, in pieces that cannot be loaded at once
		packet.Time, packet.Data, packet.WireLength = time, unread[headerLength:length:length], h.wire
		packet.LinkType, packet.Untimed = layout.linkType, false
		n++
		r.lastTime, r.hasTime = time, true
		r.previous = r.start
		r.start += length
	}
	r.records += int64(n)
	return n
}

// mayBeMagic is a quick no for most of what is not the magic of a file header.
func mayBeMagic(magic uint32) bool {
	return magic&0xffff == 0xb2a1 || magic>>16 == magicMicroseconds>>16 || magic == magicSectionBlock
}

// nextRecord gets the next record into the block whole, and judges it if it is
// odd. It ends the section where another begins.
func (r *Reader) nextRecord() error {
	layout := &r.layout
	if !r.fill(layout.headerLength) {
		return r.endOfSection("record header", layout.headerLength)
	}
	h := layout.header(r.unread())
	if r.isOdd(h, r.unread()) && r.Offset() != r.judged {
		if r.isCaptureAhead() {
			r.inSection = false
			return nil
		}
		if !r.isBelieved(h) {
			return r.resynchronise(r.oddity(h))
		}
		r.judged = r.Offset()
	}
	if length := layout.headerLength + int(h.captured); !r.fill(length) {
		reason := fmt.Sprintf("record: wanted %d bytes, got %d", length, len(r.unread()))
		return r.resynchroniseTruncated(reason)
	}
	return nil
}

// oddity says what makes a record odd.
func (r *Reader) oddity(h recordHeader) string {
	layout := &r.layout
	switch {
	case h.captured > layout.maxLength:
		return fmt.Sprintf("captured length %d is over %d", h.captured, layout.maxLength)
	case h.captured > h.wire:
		return fmt.Sprintf("captured length %d is over the length on the wire, %d", h.captured, h.wire)
	case h.fraction >= layout.fractionLimit:
		return fmt.Sprintf("fraction of a second %d is not under %d", h.fraction, layout.fractionLimit)
	}
	return fmt.Sprintf("timestamp %d s is far from the one before, and no record follows", h.seconds)
}

// isBelieved judges an odd record. Captures with a fraction of over a second, with
// a captured length over that on the wire and with leaps of years exist, and are
// sound otherwise.
func (r *Reader) isBelieved(h recordHeader) bool {
	if h.captured > r.layout.maxLength {
		return false
	}
	length := r.layout.headerLength + int(h.captured)
	return !r.isRecordInside(length) && (r.layout.isSound(h) || r.isFollowedWell(h))
}

// isFollowedWell says whether the length of an odd record leads to the end of the
// stream, to another capture, or to records of near times.
func (r *Reader) isFollowedWell(h recordHeader) bool {
	layout := &r.layout
	offset, near := 0, true
	for range resyncChain {
		near = near && (!r.hasTime || isNear(r.lastTime, layout.time(h)))
		offset += layout.headerLength + int(h.captured)
		if !r.fill(offset + layout.headerLength) {
			return len(r.unread()) >= offset
		}
		if r.fill(offset+fileHeaderLength) && isFileHeader(r.unread()[offset:]) {
			return true
		}
		h = layout.header(r.unread()[offset:])
		if h.captured > layout.maxLength {
			return false
		}
	}
	return near
}
