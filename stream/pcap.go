package stream

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"pcap-replay/internal/plural"
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
	modifiedHeaderLength = 24  // adds interface index, protocol and packet type
	versionOfBSDOS       = 543 // 543.0 is what a BSD/OS once wrote
)

// pcapLayout describes the record headers of a pcap section.
type pcapLayout struct {
	swapped          bool   // the file is big-endian
	isUncommon       bool   // a header needs more than reading four little-endian numbers
	headerLength     int    // of a record, in bytes
	fractionLimit    uint32 // fractions in a second
	fractionLength   int64  // nanoseconds in a fraction
	lengthsSwapped   bool   // the length on the wire comes first: before version 2.3
	lengthsUncertain bool   // either length may come first: version 2.3
	linkType         LinkType
	fcsLength        uint32 // bytes of the frame check sequence that each frame ends in
	maxLength        uint32 // the largest captured length that is accepted
}

// recordHeader has the fields of a record header.
type recordHeader struct {
	seconds, fraction, captured, wire uint32
}

// fileFormat returns the pcap format of a magic number that was read as little-endian. swapped
// means that the file is big-endian.
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

// isFileMagic reports whether a capture may begin here.
func isFileMagic(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	format, _ := fileFormat(binary.LittleEndian.Uint32(head))
	return format != FormatUnknown
}

// isFileHeader reports whether a capture surely begins here, in the middle of a
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
	return version&0xffff == 2 && version>>16 <= 4 || version == versionOfBSDOS
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
	linkType, fcsLength := parseLinkField(order.Uint32(head[20:]))

	layout = pcapLayout{
		swapped: swapped, headerLength: recordHeaderLength, fractionLimit: 1e6, fractionLength: 1e3,
		linkType: linkType, fcsLength: fcsLength, maxLength: linkType.MaxCaptureLength(),
	}
	switch format {
	case FormatPcapNano:
		layout.fractionLimit, layout.fractionLength = 1e9, 1
	case FormatModified:
		layout.headerLength = modifiedHeaderLength
	}
	switch {
	case major == 2 && minor == 4:
	case major == 2 && minor < 3, major == versionOfBSDOS:
		layout.lengthsSwapped = true
	case major == 2 && minor == 3:
		layout.lengthsUncertain = true
	default:
		oddity = fmt.Sprintf("file header: version %d.%d, wanted 2.4; read as 2.4", major, minor)
	}
	layout.isUncommon = swapped || layout.lengthsSwapped || layout.lengthsUncertain
	return section, layout, oddity
}

// parseLinkField reads the last field of a pcap header: the link type, and the length of
// the frame check sequence in bytes. Draft-ietf-opsawg-pcap, section 4: if bit 26 is set,
// the upper 4 bits hold that length in units of 16 bits.
func parseLinkField(field uint32) (link LinkType, fcsLength uint32) {
	if field&(1<<26) != 0 {
		fcsLength = field >> 28 * 2
	}
	return linkTypeOf(uint16(field)), fcsLength
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

// defects are unusual values in a record header. There are intact captures that have one of
// them in every record.
type defects uint8

const (
	overCaptured defects = 1 << iota // captured length over the largest one
	overWire                         // captured length over the length on the wire
	overSecond                       // fraction of a second or more
)

// defects returns the defects of a header.
func (l *pcapLayout) defects(h recordHeader) (d defects) {
	if h.captured > l.maxLength {
		d |= overCaptured
	}
	if h.captured > h.wire {
		d |= overWire
	}
	if h.fraction >= l.fractionLimit {
		d |= overSecond
	}
	return d
}

// isZero reports whether a header is all zeros. Crashed systems and preallocated files
// leave zeros, so this is damage and never a packet.
func (h recordHeader) isZero() bool { return h == recordHeader{} }

// isPlausible reports whether records may begin with this header after damage.
func (l *pcapLayout) isPlausible(h recordHeader) bool {
	return h.captured > 0 && h.captured <= h.wire && h.captured <= l.maxLength &&
		h.fraction < l.fractionLimit && h.wire <= l.plausibleWire()
}

// plausibleWire is the largest length on the wire in bytes with which records begin after
// damage.
func (l *pcapLayout) plausibleWire() uint32 { return max(l.maxLength, maxPlausibleWire) }

// maxPlausibleWire is well over the length of the largest packet that offloading network
// cards build, 512 KiB (GSO_MAX_SIZE of Linux).
const maxPlausibleWire = 1 << 20

// isOdd reports whether a record needs a closer look, since damage may look like it: it
// has defects, no length on the wire, captured bytes and as many as its fraction (see
// [chain.isShifted]), or a time far from the one before, or another capture may begin.
func (r *Reader) isOdd(h recordHeader, header []byte) bool {
	return r.layout.defects(h) != 0 || h.wire == 0 || h.fraction == h.captured && h.captured > 0 ||
		r.hasTime && !isNear(r.lastTime, r.layout.time(h)) || isFileMagic(header)
}

// time is the timestamp in nanoseconds since the Unix epoch. Seconds are
// unsigned: they last until 2106.
func (l *pcapLayout) time(h recordHeader) int64 {
	return int64(h.seconds)*1e9 + int64(h.fraction)*l.fractionLength
}

// takeRecords puts the whole records of the block into dst, up to the first odd one that has not
// been checked. Most time is spent here, so it inlines what header, time and isOdd do.
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
			h.wire == 0 || h.fraction == h.captured && h.captured > 0 ||
			r.hasTime && uint64(time-r.lastTime+nearTime) > uint64(2*nearTime) || mayBeMagic(magic) && isFileMagic(unread)
		if isOdd && r.Offset() > r.trusted {
			break
		}
		if !isOdd {
			r.reference, r.hasReference = time, true
		}
		length := headerLength + int(h.captured)
		if len(unread) < length {
			break
		}
		packet := &dst[n] // a literal would be put together elsewhere first, in pieces that cannot be loaded at once
		packet.Time, packet.Data, packet.WireLength = time, unread[headerLength:length:length], h.wire
		packet.LinkType, packet.Untimed, packet.Direction = layout.linkType, false, DirectionUnknown
		n++
		r.lastTime, r.hasTime = time, true
		r.previous = r.start
		r.start += length
	}
	r.records += int64(n)
	return n
}

// mayBeMagic is a fast check that excludes most numbers that are not the magic of a file
// header.
func mayBeMagic(magic uint32) bool {
	return magic&0xffff == 0xb2a1 || magic>>16 == magicMicroseconds>>16 || magic == magicSectionBlock
}

// nextRecord reads until the block has the whole next record, and checks a record that is
// odd. It ends the section if another one begins.
func (r *Reader) nextRecord() error {
	layout := &r.layout
	if !r.fill(layout.headerLength) {
		return r.endOfSection("record header", layout.headerLength)
	}
	h := layout.header(r.unread())
	if r.isOdd(h, r.unread()) && r.Offset() > r.trusted {
		own := r.followOwn(h)
		switch {
		case r.isSectionAhead(h, own):
			r.inSection = false
			return nil
		case own.isFramed() && !r.isCapturedWrong(h) && h.wire <= layout.plausibleWire():
			if own.isShifted() && r.isReadLate(own) {
				return r.resynchronise("bytes are missing before the record")
			}
			r.trust(own)
		case own.length == 0 && own.ending == endsCut: // the record itself is cut
		case (own.records > 0 || own.ending >= endsInZeros) && h.captured <= h.wire:
			if damage := r.resynchroniseUnless(own, r.oddity(h)); damage != nil {
				return damage
			}
			r.trust(own)
		default:
			return r.resynchronise(r.oddity(h))
		}
	}
	if length := layout.headerLength + int(h.captured); !r.fill(length) {
		reason := fmt.Sprintf("record: wanted %d bytes, got %d", length, len(r.unread()))
		return r.resynchroniseTruncated(reason)
	}
	return nil
}

// trust accepts the record at the reading position, whose chain is own. It also accepts half of
// the records without captured bytes that the chain begins with. Their chains would be as long,
// and following each of them would take quadratic time.
func (r *Reader) trust(own chain) {
	r.trusted = r.Offset() + int64(min(own.lastEmpty, own.length/2))
}

// followOwn follows the records from an odd one on. The records after it may have the same
// defects. They may have others if the chain is long or leads exactly to the end.
func (r *Reader) followOwn(h recordHeader) chain {
	own := r.followRecords(&r.layout, 0, 0, chainRecords+1, r.layout.defects(h)&^overCaptured)
	if !own.isFramed() {
		if loose := r.followRecords(&r.layout, 0, 0, chainLeadsOn, overWire|overSecond); loose.ending == endsWell || loose.ending == leadsOn {
			return loose
		}
	}
	return own
}

// isFramed reports whether records lead from an odd one to the end of the stream or to
// another capture, or far enough. It is then a record, whatever its time and its bytes.
func (c *chain) isFramed() bool {
	return c.length > 0 && (c.ending == endsWell || c.ending == leadsOn || c.records >= chainRecords)
}

// isCapturedWrong reports whether a captured length over the length on the wire is damaged.
// In that case, records follow at the position that the length on the wire gives.
func (r *Reader) isCapturedWrong(h recordHeader) bool {
	if h.captured <= h.wire {
		return false
	}
	c := r.followRecords(&r.layout, r.layout.headerLength+int(h.wire), 0, chainRecords, 0)
	return c.records >= chainRecords && c.isCoherent()
}

// isSectionAhead reports whether another capture begins at the reading position. The file
// header of a pcap could also be the header of a record of the year 2055, and the first bytes
// of compressed data could be those of a record. The records that follow decide.
func (r *Reader) isSectionAhead(h recordHeader, own chain) bool {
	if r.fill(fileHeaderLength) && isFileHeader(r.unread()) {
		if !own.isFramed() {
			return true
		}
		// In a file header, the time zone is in place of the captured length. It
		// is 0 in practice.
		section := r.followSection(0)
		return h.captured == 0 && (section.records > 0 || section.ending == endsWell)
	}
	return !own.isFramed() && r.fill(compressionMagicLength) && isCompressed(r.unread())
}

// oddity describes why a record is odd.
func (r *Reader) oddity(h recordHeader) string {
	switch d := r.layout.defects(h); {
	case h.isZero():
		return "record header is all zeros"
	case d&overCaptured != 0:
		return fmt.Sprintf("captured length %d is over %d", h.captured, r.layout.maxLength)
	case d&overWire != 0:
		return fmt.Sprintf("captured length %d is over the length on the wire, %d", h.captured, h.wire)
	case d&overSecond != 0:
		return fmt.Sprintf("fraction of a second %d is not under %d", h.fraction, r.layout.fractionLimit)
	}
	return fmt.Sprintf("no record follows at the end of its %s (timestamp %d s)", plural.Of(h.captured, "captured byte"), h.seconds)
}
