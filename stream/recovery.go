package stream

import (
	"encoding/binary"
	"errors"
)

// Recovery after damage. It begins only where the framing is broken: where the bytes
// cannot be a record header, or where no header follows at the end of a record. Every
// position is then a candidate, and the chain of records that starts there decides. See
// chain.go.

// rank is how far a candidate can be trusted. A higher one is better.
type rank int

const (
	rankNone    rank = iota
	rankShifted      // the chain reads the fields of true headers four bytes too late
	rankLoose        // the chain breaks, and its times are far from those before the damage
	rankBroken       // the chain breaks, but it is long or its times are near those before
	rankOutlier      // the chain continues; its first time is near neither the times before nor those after
	rankDistant      // the chain continues; its times are near each other, but not near those before
	rankCertain      // the chain continues, and its times are near those before
)

// candidate is a place where records may begin again.
type candidate struct {
	rank
	offset   int64 // in the stream
	second   int64 // offset of the second record of the chain
	deadline int64 // a better candidate must begin before this offset
	isFile   bool  // a file header
}

// damage returns the damage at the reading position, before anything is skipped.
func (r *Reader) damage(reason string) *Damage {
	return &Damage{Offset: r.Offset(), Record: r.records + 1, Reason: reason}
}

// resynchronise moves on from a damaged place to the next one that can be trusted
// and returns the damage. It looks into the record before the damaged place as well:
// if the length of that record is wrong, the next records start inside of it.
func (r *Reader) resynchronise(reason string) *Damage {
	damage := r.damage(reason)
	r.search(damage.Offset, candidate{})
	r.measure(damage)
	return damage
}

// resynchroniseTruncated is resynchronise for a record that is longer than the rest of the
// stream. If its length is wrong, the records inside of it lead to the end.
func (r *Reader) resynchroniseTruncated(reason string) *Damage {
	damage := r.damage(reason)
	r.search(damage.Offset+int64(len(r.unread())), candidate{})
	if len(r.unread()) == 0 {
		if r.isAtGap() {
			return r.crossGap(damage)
		}
		damage.Truncated = true
		damage.Reason = r.endReason(reason)
	}
	r.measure(damage)
	return damage
}

// isAtGap reports whether the block ends at damaged compressed data after which reading can
// go on. It needs a section: records cannot be read without a file header.
func (r *Reader) isAtGap() bool {
	var broken *DecompressionError
	return r.sections > 0 && r.decompressing != nil && errors.As(r.srcErr, &broken) && broken.isOf(r.decompressing) && broken.search.run()
}

// skipToFile goes to the first file header after damaged compressed data if the stream begins
// with this data. It returns nil if the stream begins with a file header, or if none follows.
func (r *Reader) skipToFile() *Damage {
	damage, first := r.damage(""), (*DecompressionError)(nil)
	for r.sections == 0 && r.decompressing != nil && !(r.fill(fileHeaderLength) && isFileMagic(r.unread())) {
		if r.srcErr == nil {
			var skipped int64
			skipped, r.srcErr = r.decompressing.damageAhead()
			r.base += skipped
		}
		var broken *DecompressionError
		if !errors.As(r.srcErr, &broken) || !broken.isOf(r.decompressing) || !broken.search.run() {
			if first != nil {
				r.start, r.srcErr = r.end, first
			}
			return nil
		}
		if first == nil {
			first, damage.Reason = broken, broken.Error()+broken.search.String()
		}
		r.base, r.start, r.srcErr = r.base+broken.search.lost, r.end, nil
	}
	if first == nil {
		return nil
	}
	damage.Lost = r.Offset() - damage.Offset
	return damage
}

// crossGap skips the rest of the block before a gap, and looks for records after it. It
// completes the damage, whose reason describes the record that the gap has cut.
func (r *Reader) crossGap(damage *Damage) *Damage {
	var broken *DecompressionError
	errors.As(r.srcErr, &broken)
	if damage.Reason != "" {
		damage.Reason = ": " + damage.Reason
	}
	damage.Reason = broken.Error() + broken.search.String() + damage.Reason
	r.srcErr, r.inSection = nil, true
	r.base += broken.search.lost
	if r.end == 0 {
		r.base, r.end = r.base-1, 1 // search does not check the byte at which it begins
	}
	r.start = r.end - 1
	r.previous = r.start
	r.search(r.Offset()+1, candidate{})
	damage.Lost = max(0, r.Offset()-damage.Offset)
	return damage
}

// resynchroniseUnless is resynchronise if there is a better candidate than the record at the
// reading position, whose chain is own. Otherwise it returns nil.
func (r *Reader) resynchroniseUnless(own chain, reason string) *Damage {
	damage := r.damage(reason)
	self := r.rate(own, damage.Offset, damage.Offset, r.hasReference)
	if self.rank == rankNone && own.length > 0 && own.ending == endsCut { // empty records before a cut one
		self = candidate{rank: rankLoose, offset: damage.Offset, second: damage.Offset + int64(own.second)}
	}
	self.deadline = self.second // what begins after the record does not contradict it
	r.search(damage.Offset, self)
	if r.Offset() == damage.Offset {
		return nil
	}
	r.measure(damage)
	return damage
}

// isReadLate checks a chain that seems to be read four bytes too late: see [chain.isShifted].
// It is, if records begin four bytes before one of its first records, and their times are near
// the last one before the chain. Bytes are then missing in the stream.
func (r *Reader) isReadLate(own chain) bool {
	const shift = 4 // the length of a field of a record header
	start, offset := r.Offset(), 0
	for range own.records {
		if r.start+offset-shift >= r.previous+recordHeaderLength {
			r.start += offset - shift
			c := r.followRecords(&r.layout, 0, 0, chainRecords, 0)
			isLate := c.isWitnessed(r.reference, r.hasReference) && !c.isShifted() && c.isNear(r.reference, r.hasReference)
			r.start = int(start - r.base)
			if isLate {
				return r.fits(c.times[0], r.layout.time(r.layout.header(r.unread()[offset:])))
			}
		}
		if !r.fill(offset + recordHeaderLength) {
			break
		}
		offset += recordHeaderLength + int(r.layout.header(r.unread()[offset:]).captured)
	}
	return false
}

// fits reports whether a time is nearer to the last time before it than another one. If there
// is none before it, it reports whether the time is after 1970.
func (r *Reader) fits(time, other int64) bool {
	if !r.hasReference {
		return time > nearTime
	}
	return max(time-r.reference, r.reference-time) < max(other-r.reference, r.reference-other)
}

// measure completes a damage once the reading position has moved on.
func (r *Reader) measure(damage *Damage) {
	if r.Offset() >= damage.Offset {
		damage.Lost = r.Offset() - damage.Offset
		return
	}
	damage.Offset = r.previousOffset
	damage.Record--
	damage.Reason = "captured length reaches into the next record: " + damage.Reason
}

// search moves the reading position to the best candidate, or to the end of the
// stream. A candidate before the offset beyond must lead past it, since a packet may
// hold a capture. The record at the reading position itself takes part as own.
func (r *Reader) search(beyond int64, own candidate) {
	r.previousOffset = r.base + int64(r.previous)
	r.start = min(r.previous, r.start)
	best := own
	for best.rank < rankCertain {
		r.start++
		r.previous = r.start
		if best.rank > rankNone {
			r.previous = int(best.offset - r.base) // the block keeps what follows it
		}
		r.skipZeros()
		if !r.fill(1) || best.rank > rankNone && r.Offset() >= best.deadline {
			break
		}
		if found := r.candidate(beyond); found.rank > best.rank && !r.continues(best, found) {
			best = found
		}
	}
	if best.rank == rankNone {
		r.start = r.end
		r.previous = r.start
		return
	}
	r.start = int(best.offset - r.base)
	r.previous = r.start
	r.trusted = best.offset
	r.inSection = !best.isFile
}

// continues reports whether a candidate is a record of the chain of another one. The
// second record of an outlier is not: it is the better place to begin.
func (r *Reader) continues(best, found candidate) bool {
	if best.rank < rankOutlier || best.isFile || best.rank == rankOutlier && found.offset == best.second {
		return false
	}
	offset := best.offset
	for offset < found.offset {
		head := r.block[offset-r.base : r.end]
		if r.format == FormatPcapNG {
			length := r.order.Uint32(head[4:])
			if !isBlockLength(length) { // the chain was followed for some records only
				return false
			}
			offset += int64(length)
		} else {
			offset += int64(r.layout.headerLength) + int64(r.layout.header(head).captured)
		}
	}
	return offset == found.offset
}

// skipZeros skips zeros, eight bytes at a time, as long as a header that begins in the eight
// bytes would be all zeros.
func (r *Reader) skipZeros() {
	for r.fill(8 + recordHeaderLength) {
		unread, order := r.unread(), binary.LittleEndian
		if order.Uint64(unread)|order.Uint64(unread[8:])|order.Uint64(unread[16:]) != 0 {
			return
		}
		if r.previous == r.start {
			r.previous += 8
		}
		r.start += 8
	}
}

// candidate rates the records that begin at the reading position.
func (r *Reader) candidate(beyond int64) candidate {
	if !r.fill(fileHeaderLength) && !r.fill(minBlockLength) {
		return candidate{}
	}
	var c chain
	unread, ahead := r.unread(), int(max(beyond-r.Offset(), 0))
	isFile := isFileHeader(unread)
	switch {
	case isFile:
		c = r.followSection(ahead)
	case r.format == FormatPcapNG:
		if !isKnownBlock(r.order.Uint32(unread)) {
			return candidate{}
		}
		c = r.followBlocks(ahead, r.order, r.interfaces)
	default:
		if len(unread) < recordHeaderLength || !r.layout.isPlausible(r.layout.header(unread)) {
			return candidate{}
		}
		c = r.followRecords(&r.layout, 0, ahead, chainLeadsOn, 0)
		if !c.isWitnessed(r.reference, r.hasReference) {
			return candidate{}
		}
	}
	found := r.rate(c, r.Offset(), beyond, r.hasReference && !isFile)
	found.isFile = isFile
	return found
}

// rate turns a chain from an offset on into a candidate. hasReference says whether its times
// should fit the reference.
func (r *Reader) rate(c chain, offset, beyond int64, hasReference bool) candidate {
	end := offset + int64(c.length)
	leads := c.ending == endsWell || c.ending == leadsOn
	if offset < beyond && (end < beyond || end == beyond && c.ending != endsWell || c.ending <= endsInZeros) {
		return candidate{}
	}
	found := candidate{offset: offset, second: offset + int64(c.second)}
	switch near := c.isNear(r.reference, hasReference); {
	case c.records == 0 && !leads:
		return candidate{}
	case c.isShifted():
		found.rank, found.deadline = rankShifted, end+largestPacket
	case leads && near:
		found.rank = rankCertain
	case leads && c.isCoherent():
		found.rank, found.deadline = rankDistant, offset+largestPacket
	case leads:
		found.rank, found.deadline = rankOutlier, offset+largestPacket
	case near || c.records >= chainBetween:
		found.rank, found.deadline = rankBroken, end
	default:
		found.rank, found.deadline = rankLoose, end+largestPacket
	}
	return found
}
