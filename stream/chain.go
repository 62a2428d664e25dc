package stream

import (
	"encoding/binary"
	"time"
)

const (
	// chainRecords is the number of records that a chain needs to be trusted. Shorter
	// chains occur in payload by chance.
	chainRecords = 3
	// chainLeadsOn is the largest number of records that are followed. A packet that
	// carries a part of a capture holds fewer, unless it is very long.
	chainLeadsOn = 64
	// chainBetween is the number of records between two damaged places from which they are
	// trusted whatever their times. A packet of 1500 bytes that carries a part of a capture
	// holds fewer.
	chainBetween = 16
	// largestPacket is the length of the largest IP packet in bytes (RFC 791). A chain
	// that is longer does not lie inside one packet.
	largestPacket = 64 << 10
	// chainReach is the distance up to which a chain of large packets is followed, in bytes.
	chainReach = 4 << 20
	// nearTime is the largest difference of two timestamps that are near each other, in
	// nanoseconds: about a year.
	nearTime = int64(366 * 24 * time.Hour)
)

// ending is how a chain ends.
type ending int

const (
	endsBroken  ending = iota // no header follows
	endsInZeros               // a header of zeros follows
	endsCut                   // the stream ends inside the next record
	endsWell                  // exactly at the end of the stream, or where another capture begins
	leadsOn                   // it was not followed to its end
)

// chain describes the records that follow from one position, each of which begins where the
// one before it ends.
type chain struct {
	records int // with captured bytes; records without any are not counted
	length  int // of all of them in bytes
	second  int // where the second of them begins
	// lastEmpty is where the last of the empty records begins that the chain begins with.
	lastEmpty int
	ending    ending
	shifted   int // records that could be read four bytes too late: see isShifted
	times     [2]int64
	timed     int // how many of times are known
}

// add records a record.
func (c *chain) add(length int) {
	if c.length == 0 {
		c.second = length
	}
	c.length += length
}

func (c *chain) addTime(time int64) {
	if c.timed < len(c.times) {
		c.times[c.timed] = time
		c.timed++
	}
}

// isLong reports whether the chain has been followed far enough: beyond a number of bytes,
// and for enough records or more bytes than a packet holds.
func (c *chain) isLong(beyond, enough int) bool {
	return c.length > beyond &&
		(c.records >= enough || c.records >= chainRecords && c.length >= largestPacket || c.length >= chainReach)
}

// isWitnessed reports whether a chain of pcap records is too long to occur by chance. Fewer
// records are enough if they lead exactly to the end. A single one is enough if its time is
// also near the last one before it.
func (c *chain) isWitnessed(reference int64, hasReference bool) bool {
	switch c.ending {
	case endsWell:
		return c.records > 1 || c.records == 1 && hasReference && isNear(reference, c.times[0])
	case endsCut:
		return c.records >= chainRecords-1
	}
	return c.records >= chainRecords
}

// isShifted reports whether the chain seems to read headers four bytes too late: it reads the
// fraction as the seconds, the captured length as the fraction, and the length on the wire as
// the captured length. The two lengths are equal in almost every capture, so such a chain is
// as long as the true one. In a long chain, the first record may be an exception, because it
// may be the damaged one.
func (c *chain) isShifted() bool {
	return c.records > 1 && (c.shifted == c.records || c.records > chainRecords && c.shifted == c.records-1)
}

// isNear reports whether the first time of the chain is near the last time before it. If
// there is none before it, the first two times of the chain have to be near each other.
func (c *chain) isNear(reference int64, hasReference bool) bool {
	if c.timed == 0 {
		return true
	}
	if !hasReference {
		return c.isCoherent()
	}
	return isNear(reference, c.times[0])
}

// isCoherent reports whether the first two times of the chain are near each other.
func (c *chain) isCoherent() bool { return c.timed < 2 || isNear(c.times[0], c.times[1]) }

// isNear reports whether two timestamps are no more than nearTime apart.
func isNear(a, b int64) bool { return a-b <= nearTime && b-a <= nearTime }

// followRecords follows pcap records from offset bytes after the reading position,
// beyond a number of bytes and for enough records. Their headers may have the tolerated
// defects.
func (r *Reader) followRecords(layout *pcapLayout, offset, beyond, enough int, tolerated defects) (c chain) {
	for !c.isLong(beyond, enough) {
		if !r.fill(offset + layout.headerLength) {
			return c.endOfStream(len(r.unread()) - offset)
		}
		ahead := r.unread()[offset:]
		h := layout.header(ahead)
		if h.isZero() || layout.defects(h)&^tolerated != 0 {
			switch {
			case h.isZero():
				c.ending = endsInZeros
			case r.isCaptureAt(offset):
				c.ending = endsWell
			}
			return c
		}
		if isFileMagic(ahead) && (h.captured == 0 || h.wire > layout.plausibleWire()) && r.isCaptureAt(offset) {
			c.ending = endsWell
			return c
		}
		length := layout.headerLength + int(h.captured)
		if !r.fill(offset + length) {
			c.ending = endsCut
			return c
		}
		if h.captured > 0 {
			c.records++
		} else if c.records == 0 {
			c.lastEmpty = c.length
		}
		c.add(length)
		c.addTime(layout.time(h))
		if h.captured > 0 && h.captured == h.fraction && h.seconds < layout.fractionLimit && layout.headerLength == recordHeaderLength {
			c.shifted++
		}
		offset += length
	}
	c.ending = leadsOn
	return c
}

// endOfStream ends a chain where rest bytes are left.
func (c chain) endOfStream(rest int) chain {
	c.ending = endsCut
	if rest <= 0 {
		c.ending = endsWell
	}
	return c
}

// isCaptureAt reports whether a capture begins offset bytes after the reading
// position, compressed or not.
func (r *Reader) isCaptureAt(offset int) bool {
	return r.fill(offset+fileHeaderLength) && isFileHeader(r.unread()[offset:]) ||
		r.fill(offset+compressionMagicLength) && isCompressed(r.unread()[offset:])
}

// isCompressed reports whether compressed data begins here.
func isCompressed(head []byte) bool {
	return DetectCompression(head) != Uncompressed || isSkippableFrame(head)
}

// followSection follows the file header at the reading position and the records after
// it, beyond a number of bytes. The header itself is no record.
func (r *Reader) followSection(beyond int) (c chain) {
	head := r.unread()
	if binary.LittleEndian.Uint32(head) == magicSectionBlock {
		return r.followBlocks(beyond, r.order, nil)
	}
	_, layout, _ := parseFileHeader(head)
	c = r.followRecords(&layout, fileHeaderLength, beyond-fileHeaderLength, chainLeadsOn, 0)
	c.length += fileHeaderLength
	return c
}

// followBlocks follows pcapng blocks from the reading position, beyond a number of
// bytes. The section has the interfaces that are known, and those that the blocks
// describe.
func (r *Reader) followBlocks(beyond int, order binary.ByteOrder, interfaces []networkInterface) (c chain) {
	offset, interfaceCount := 0, len(interfaces)
	for !c.isLong(beyond, chainLeadsOn) {
		if !r.fill(offset + minBlockLength) {
			return c.endOfStream(len(r.unread()) - offset)
		}
		kind := order.Uint32(r.unread()[offset:])
		if kind == magicSectionBlock {
			if order = sectionByteOrder(r.unread()[offset:]); order == nil {
				return c
			}
			interfaces, interfaceCount = nil, 0
		}
		length := order.Uint32(r.unread()[offset+4:])
		if !isBlockLength(length) || length > chainReach {
			if c.records > 0 && r.isCaptureAt(offset) {
				c.ending = endsWell
			}
			return c
		}
		if !r.fill(offset + int(length)) {
			c.ending = endsCut
			return c
		}
		block := r.unread()[offset:][:length]
		if !isBlockValid(order, kind, block, interfaceCount) {
			return c
		}
		if kind == blockInterface {
			interfaceCount++
		}
		if id, units, ok := timestampField(order, kind, block); ok && int(id) < len(interfaces) {
			c.addTime(interfaces[id].clock.time(units))
		}
		c.add(int(length))
		c.records++
		offset += int(length)
	}
	c.ending = leadsOn
	return c
}
