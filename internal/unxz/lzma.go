package unxz

import "errors"

// These numbers are from lzma-specification.txt in the LZMA SDK, version 9.20. LZMA has no more
// exact specification.
const (
	states           = 12
	positions        = 1 << 4 // the lowest bits of the position, which probabilities may depend on
	literalSize      = 0x300  // probabilities of a literal
	literalContexts  = 1 << 4 // in LZMA2, which allows 4 bits of the byte before and of the position together
	firstMatchState  = 7      // a state below it follows a literal
	minMatch         = 2      // bytes
	slots            = 1 << 6 // of distances
	firstLongSlot    = 4      // the first one that more bits follow
	firstDirectSlot  = 14     // the first one of which only the lowest bits have probabilities
	lowDistances     = 1 << (firstDirectSlot / 2)
	alignedBits      = 4       // the bits of a longer distance that have probabilities
	minWidth         = 1 << 24 // of the interval
	probabilityBits  = 11
	adaptation       = 5 // a probability moves by 1/32 of its distance from 0 or 1
	evenProbability  = 1 << (probabilityBits - 1)
	rangeDecoderHead = 5 // bytes that are read before the first bit
)

// model holds the probabilities of bits to be 0, in parts of 1<<probabilityBits.
type model struct {
	isMatch      [states][positions]uint16
	isRepeated   [states]uint16 // the distance is one of the latest four
	isNotLatest  [states]uint16
	isLong       [states][positions]uint16 // the match of the latest distance is more than a byte
	isNotSecond  [states]uint16
	isFourth     [states]uint16
	newLength    lengthModel
	oldLength    lengthModel // of a match whose distance is repeated
	slots        [4][slots]uint16
	lowDistances [1 + lowDistances - firstDirectSlot]uint16
	aligned      [1 << alignedBits]uint16
	literals     [literalContexts][literalSize]uint16
}

// lengthModel holds the probabilities for the length of a match.
type lengthModel struct {
	isOver9, isOver17 uint16
	upTo9, upTo17     [positions][8]uint16
	upTo273           [256]uint16
}

// newModel returns the initial model.
var newModel = func() (m model) {
	for state := range states {
		fill(m.isMatch[state][:], m.isLong[state][:])
	}
	fill(m.isRepeated[:], m.isNotLatest[:], m.isNotSecond[:], m.isFourth[:], m.lowDistances[:], m.aligned[:])
	for i := range m.slots {
		fill(m.slots[i][:])
	}
	for i := range m.literals {
		fill(m.literals[i][:])
	}
	for _, length := range []*lengthModel{&m.newLength, &m.oldLength} {
		length.isOver9, length.isOver17 = evenProbability, evenProbability
		for position := range positions {
			fill(length.upTo9[position][:], length.upTo17[position][:])
		}
		fill(length.upTo273[:])
	}
	return m
}()

func fill(tables ...[]uint16) {
	for _, table := range tables {
		for i := range table {
			table[i] = evenProbability
		}
	}
}

// interval is the state of the range decoder: the width of the interval, and the position of
// the compressed data in it.
type interval struct{ width, code uint32 }

// bit reads a bit and adapts its probability. It has no branch, because the processor would
// often predict it wrongly: that halves the time of decompression.
func (r interval) bit(probability *uint16) (interval, uint32) {
	p := int32(*probability)
	bound := r.width >> probabilityBits * uint32(p)
	below := int64(r.code) - int64(bound)
	zero := uint32(below >> 63) // all bits of it are set if the bit is 0
	*probability = uint16(p - (p+int32(zero)&(1<<adaptation-1-1<<probabilityBits))>>adaptation)
	return interval{r.width - bound ^ (r.width-bound^bound)&zero, uint32(below) + bound&zero}, zero + 1
}

// lzma decompresses LZMA data into its window.
type lzma struct {
	input
	window
	model     model
	interval  interval
	state     uint
	distances [4]uint32 // of the latest matches, the last one first, less one
	match     int       // bytes left of a match that the caller has no room for

	contextBits  uint // of the byte before, which a literal depends on
	literalMask  int  // of the position, which a literal depends on
	positionMask int  // of the position, which everything else depends on
}

// setProperties says what the probabilities depend on, and whether LZMA2 allows that.
func (d *lzma) setProperties(properties byte) bool {
	contextBits, literalBits, positionBits := properties%9, properties/9%5, properties/9/5
	d.contextBits, d.literalMask, d.positionMask = uint(contextBits), 1<<literalBits-1, 1<<positionBits-1
	return positionBits <= 4 && contextBits+literalBits <= 4
}

// resetState sets all probabilities and distances to their initial values.
func (d *lzma) resetState() {
	d.model, d.state, d.distances = newModel, 0, [4]uint32{}
}

var (
	errRange    = errors.New("LZMA data does not begin with 0")
	errDistance = errors.New("a match refers to data before the start")
)

// begin reads the bytes before the first bit.
func (d *lzma) begin() error {
	if d.byte() != 0 {
		return errRange
	}
	d.interval.width = 1<<32 - 1
	for range rangeDecoderHead - 1 {
		d.interval.code = d.interval.code<<8 | uint32(d.byte())
	}
	d.match = 0
	return d.cause()
}

// decode writes up to end in the ring. Before it returns an error, it has written everything that
// precedes the damage.
func (d *lzma) decode(end int) (err error) {
	if d.match > 0 {
		d.copyMatch(end)
	}
	r := d.interval
	for err == nil && d.write < end {
		r, err = d.symbol(r, end)
	}
	d.interval = r
	return err
}

// symbol reads a byte or a match.
func (d *lzma) symbol(r interval, end int) (interval, error) {
	position := d.write & d.positionMask
	r, isMatch := d.bit(r, &d.model.isMatch[d.state][position])
	if isMatch == 0 {
		r, literal := d.literal(r)
		if d.missing {
			return r, d.cause()
		}
		d.ring[d.write] = literal
		d.write++
		return r, nil
	}
	r, isRepeated := d.bit(r, &d.model.isRepeated[d.state])
	if isRepeated == 0 {
		r = d.newMatch(r, position)
	} else {
		r = d.repeatedMatch(r, position)
	}
	switch {
	case d.missing:
		return r, d.cause()
	case int64(d.distances[0]) >= int64(d.length()):
		return r, errDistance
	}
	d.copyMatch(end)
	return r, nil
}

// copyMatch writes the match, but not beyond end.
func (d *lzma) copyMatch(end int) {
	count := min(d.match, end-d.write)
	d.match -= count
	d.repeat(d.distances[0], count)
}

// stateAfterLiteral is the state after a literal, by the state before it.
var stateAfterLiteral = [states]uint{0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5}

// literal reads a byte.
func (d *lzma) literal(r interval) (interval, byte) {
	context := d.write&d.literalMask<<d.contextBits | int(d.before(0))>>(8-d.contextBits)
	probabilities := &d.model.literals[context]
	symbol, bit := uint32(1), uint32(0)
	if d.state >= firstMatchState {
		// The byte after the source of the match is not this one, or the match would be
		// longer. As long as both have the same bits, they have probabilities of their own.
		other, same := uint32(d.before(d.distances[0])), uint32(0x100)
		for symbol < 0x100 {
			other <<= 1
			if r.width < minWidth {
				r = d.widen(r)
			}
			otherBit := other & same
			r, bit = r.bit(&probabilities[(same+otherBit+symbol)%literalSize])
			symbol = symbol<<1 | bit
			same &= otherBit ^ (bit - 1)
		}
	}
	for symbol < 0x100 {
		if r.width < minWidth {
			r = d.widen(r)
		}
		r, bit = r.bit(&probabilities[symbol])
		symbol = symbol<<1 | bit
	}
	d.state = stateAfterLiteral[d.state]
	return r, byte(symbol)
}

// setState sets the state after a match.
func (d *lzma) setState(afterLiteral, afterMatch uint) {
	if d.state < firstMatchState {
		d.state = afterLiteral
	} else {
		d.state = afterMatch
	}
}

// newMatch reads the length and the distance of a match.
func (d *lzma) newMatch(r interval, position int) interval {
	d.setState(7, 10)
	r = d.matchLength(r, &d.model.newLength, position)
	r, slot := d.number(r, d.model.slots[min(d.match-minMatch, 3)][:])
	distance := slot
	if slot >= firstLongSlot {
		distance = 2 | slot&1
		bits := slot>>1 - 1 // which follow
		var low uint32
		if slot < firstDirectSlot {
			distance <<= bits
			r, low = d.reversedNumber(r, d.model.lowDistances[distance-slot:], bits)
		} else {
			for range bits - alignedBits {
				if r.width < minWidth {
					r = d.widen(r)
				}
				r.width >>= 1
				bit := uint32(0)
				if r.code >= r.width {
					r.code -= r.width
					bit = 1
				}
				distance = distance<<1 | bit
			}
			distance <<= alignedBits
			r, low = d.reversedNumber(r, d.model.aligned[:], alignedBits)
		}
		distance += low
	}
	d.distances = [4]uint32{distance, d.distances[0], d.distances[1], d.distances[2]}
	return r
}

// repeatedMatch reads the number of the latest distance that a match has, and its length.
func (d *lzma) repeatedMatch(r interval, position int) interval {
	r, isNotLatest := d.bit(r, &d.model.isNotLatest[d.state])
	if isNotLatest == 0 {
		r, isLong := d.bit(r, &d.model.isLong[d.state][position])
		if isLong == 0 {
			d.setState(9, 11)
			d.match = 1
			return r
		}
		d.setState(8, 11)
		return d.matchLength(r, &d.model.oldLength, position)
	}
	latest := d.distances
	r, isNotSecond := d.bit(r, &d.model.isNotSecond[d.state])
	if isNotSecond == 0 {
		d.distances = [4]uint32{latest[1], latest[0], latest[2], latest[3]}
	} else {
		var isFourth uint32
		r, isFourth = d.bit(r, &d.model.isFourth[d.state])
		if isFourth == 0 {
			d.distances = [4]uint32{latest[2], latest[0], latest[1], latest[3]}
		} else {
			d.distances = [4]uint32{latest[3], latest[0], latest[1], latest[2]}
		}
	}
	d.setState(8, 11)
	return d.matchLength(r, &d.model.oldLength, position)
}

// matchLength reads the length of a match.
func (d *lzma) matchLength(r interval, m *lengthModel, position int) interval {
	base, probabilities := uint32(minMatch), m.upTo9[position][:]
	r, isOver9 := d.bit(r, &m.isOver9)
	if isOver9 == 1 {
		var isOver17 uint32
		base, probabilities = 10, m.upTo17[position][:]
		r, isOver17 = d.bit(r, &m.isOver17)
		if isOver17 == 1 {
			base, probabilities = 18, m.upTo273[:]
		}
	}
	r, more := d.number(r, probabilities)
	d.match = int(base + more)
	return r
}

// number reads a number below len(probabilities), which is a power of two: its highest
// bit first.
func (d *lzma) number(r interval, probabilities []uint16) (interval, uint32) {
	symbol, bit := uint32(1), uint32(0)
	for symbol < uint32(len(probabilities)) {
		if r.width < minWidth {
			r = d.widen(r)
		}
		r, bit = r.bit(&probabilities[symbol])
		symbol = symbol<<1 | bit
	}
	return r, symbol - uint32(len(probabilities))
}

// reversedNumber reads a number of so many bits, its lowest bit first.
func (d *lzma) reversedNumber(r interval, probabilities []uint16, bits uint32) (interval, uint32) {
	symbol, bit, number := uint32(1), uint32(0), uint32(0)
	for i := range bits {
		if r.width < minWidth {
			r = d.widen(r)
		}
		r, bit = r.bit(&probabilities[symbol])
		symbol = symbol<<1 | bit
		number |= bit << i
	}
	return r, number
}

// bit reads a single bit.
func (d *lzma) bit(r interval, probability *uint16) (interval, uint32) {
	if r.width < minWidth {
		r = d.widen(r)
	}
	return r.bit(probability)
}

// widen reads a byte if the interval has become narrow.
func (d *lzma) widen(r interval) interval {
	return interval{r.width << 8, r.code<<8 | uint32(d.byte())}
}
