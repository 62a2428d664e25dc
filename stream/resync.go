package stream

import (
	"encoding/binary"
	"time"
)

// Finding the way again behind damage. A pcap file has no marks between its
// records, so a place is believed where several plausible records chain, or where
// a chain leads exactly to the end. A pcapng block ends with its length, which is
// mark enough.

const (
	// resyncChain is how many records must follow one another.
	resyncChain = 3
	// resyncReach bounds how far a chain is followed, in bytes.
	resyncReach = 4 << 20
	// resyncYears bounds how far the times of a chain are apart, in nanoseconds.
	resyncTime = int64(366 * 24 * time.Hour)
)

// resynchronise skips what is broken at the reading position and says what was
// lost. It looks back into the record before, too: where that one's length was
// wrong, the following records stand inside of it.
func (r *Reader) resynchronise(reason string) *Damage { return r.skipDamage(reason, r.Offset()) }

// resynchroniseTruncated does so for a record that is longer than the stream: its
// length may be what is broken, but then the records inside must lead to the end.
func (r *Reader) resynchroniseTruncated(reason string) *Damage {
	damage := r.skipDamage(reason, r.Offset()+int64(len(r.unread())))
	if len(r.unread()) == 0 {
		damage.Truncated = true
		damage.Reason = r.endReason(reason)
	}
	return damage
}

// skipDamage moves on to the next place that can be believed. A chain of records
// that begins before the offset beyond must lead there: a packet may carry a
// capture.
func (r *Reader) skipDamage(reason string, beyond int64) *Damage {
	broken := r.Offset()
	damage := &Damage{Offset: broken, Record: r.records + 1, Reason: reason}
	if r.previous < r.start {
		r.start = r.previous
	}
	r.start++
	r.findRecord(beyond)
	damage.Lost = max(r.Offset()-broken, 0)
	if r.Offset() < broken {
		damage.Record--
		damage.Reason = "captured length reaches into the next record: " + reason
	}
	return damage
}

// isRecordInside says whether a chain of records begins inside of the record
// before the reading position, or inside of the length bytes behind it, and leads
// beyond those: then it is the way, and what was read was not.
func (r *Reader) isRecordInside(length int) bool {
	start, end := r.Offset(), r.Offset()+int64(length)
	found := false
	for r.start = r.previous + 1; !found && r.Offset() < end && r.fill(1); r.start++ {
		found = r.Offset() != start && (r.isFileHeaderAhead(end) || r.isChainAhead(0, end))
	}
	r.start = int(start - r.base)
	return found
}

// findRecord moves the reading position to the next believable record or file
// header, or to the end of the stream.
func (r *Reader) findRecord(beyond int64) {
	r.previous = r.start
	for r.fill(1) {
		switch {
		case r.isFileHeaderAhead(beyond):
			r.inSection = false
			return
		case r.format == FormatPcapNG:
			if r.isBlockAhead() {
				return
			}
		case r.isChainAhead(0, beyond):
			return
		}
		r.start++
		r.previous = r.start
	}
}

func (r *Reader) isFileHeaderAhead(beyond int64) bool {
	if !isFileMagic(r.unread()) || !r.fill(fileHeaderLength) || !isFileHeader(r.unread()) {
		return false
	}
	if r.Offset() >= beyond {
		return true
	}
	section, layout, _ := parseFileHeader(r.unread())
	if section.Format == FormatPcapNG {
		return r.isBlockAhead()
	}
	current := r.layout
	r.layout = layout
	defer func() { r.layout = current }()
	return r.isChainAhead(fileHeaderLength, beyond)
}

// isChainAhead says whether plausible records follow one another from offset
// bytes behind the reading position.
func (r *Reader) isChainAhead(offset int, beyond int64) bool {
	layout := &r.layout
	lastTime, hasTime := r.lastTime, r.hasTime && offset == 0
	end := int(beyond - r.Offset())
	for count := 0; ; count++ {
		if count >= resyncChain && offset > end {
			return true
		}
		if offset > resyncReach {
			return false
		}
		if !r.fill(offset + layout.headerLength) {
			switch rest := len(r.unread()) - offset; {
			case rest == 0: // exactly at the end
				return count >= resyncChain-1 || count == 1 && r.hasTime
			default:
				return count >= resyncChain-1 // the stream is cut as well
			}
		}
		ahead := r.unread()[offset:]
		if count > 0 && isFileMagic(ahead) && r.fill(offset+fileHeaderLength) && isFileHeader(r.unread()[offset:]) {
			return true
		}
		h := layout.header(ahead)
		if !layout.isSound(h) || h.captured == 0 || h.wire > max(layout.maxLength, 1<<20) {
			return false
		}
		if hasTime && !isNear(lastTime, layout.time(h)) {
			return false
		}
		lastTime, hasTime = layout.time(h), true
		offset += layout.headerLength + int(h.captured)
	}
}

// isNear says whether two timestamps may belong to one capture.
func isNear(a, b int64) bool { return a-b <= resyncTime && b-a <= resyncTime }

// isBlockAhead says whether a known pcapng block begins at the reading position
// and ends where its length says.
func (r *Reader) isBlockAhead() bool {
	if !r.fill(minBlockLength) {
		return false
	}
	order := r.order
	kind := order.Uint32(r.unread())
	if kind == magicSectionBlock {
		order = sectionByteOrder(r.unread())
	}
	if order == nil || !isKnownBlock(kind) {
		return false
	}
	length := int(order.Uint32(r.unread()[4:]))
	if !isBlockLength(uint32(length)) || length > resyncReach || !r.fill(length) {
		return false
	}
	return order.Uint32(r.unread()[length-4:]) == uint32(length)
}

// sectionByteOrder reads the byte order of a section header block, nil if it has none.
func sectionByteOrder(block []byte) binary.ByteOrder {
	switch {
	case binary.LittleEndian.Uint32(block[8:]) == magicByteOrder:
		return binary.LittleEndian
	case binary.BigEndian.Uint32(block[8:]) == magicByteOrder:
		return binary.BigEndian
	}
	return nil
}
