package gunzip

import (
	"encoding/binary"
	"errors"
)

// WindowSize is the maximum distance of a match, in bytes.
const WindowSize = 32 << 10

const (
	outputSize = WindowSize + 64<<10
	// outputSlack is the room that the fast loop needs: three literals, the longest match,
	// and the excess of copying eight bytes at a time.
	outputSlack = 3 + 258 + 8
	// inputSlack is the input that the fast loop needs: two loads of eight bytes.
	inputSlack = 16
)

// The next element of the compressed data.
const (
	blockHeader = iota
	storedBlock
	huffmanBlock
	afterLastBlock
)

var (
	errDamaged  = errors.New("deflate data is damaged")
	errDistance = errors.New("a match refers to data before the start")
)

// inflater decompresses blocks of deflate data, RFC 1951. Its output buffer is also the
// window that matches refer to.
type inflater struct {
	input
	output []byte
	read   int // end of the output that was returned
	write  int // end of the data
	// start is the first byte in output that matches may refer to.
	start int

	next   int   // what comes next
	last   bool  // this is the last block
	stored int   // bytes left of a stored block
	damage error // the damage in this deflate data that was skipped, or nil

	literals  [literalTableSize]uint32
	distances [distanceTableSize]uint32
	lengths   [288 + 32]uint8
	fixed     bool // the tables are those of the fixed codes

	// reached marks the bytes of the first window that matches refer to, while tracking is
	// set.
	reached  *[WindowSize]bool
	tracking bool
	resumed  int // end of the first window in output
}

// reset empties the output except for a window.
func (f *inflater) reset(window []byte) {
	if f.output == nil {
		f.output = make([]byte, outputSize)
	}
	n := copy(f.output, window)
	f.read, f.write, f.start, f.resumed, f.tracking = n, n, 0, n, false
	f.next, f.last, f.stored, f.damage = blockHeader, false, 0, nil
}

// begin prepares for other deflate data after the last block.
func (f *inflater) begin() {
	f.start = f.write
	f.next, f.last, f.stored, f.damage = blockHeader, false, 0, nil
}

// window is the data that a match at the end of the output can refer to.
func (f *inflater) window() []byte {
	return f.output[max(f.start, f.write-WindowSize):f.write]
}

// inflate appends to the output. It returns when the output is full, at a block header, and
// after the last block.
func (f *inflater) inflate() error {
	switch f.next {
	case blockHeader:
		return f.readBlockHeader()
	case storedBlock:
		return f.copyStored()
	case huffmanBlock:
		for f.next == huffmanBlock && f.write <= len(f.output)-outputSlack {
			if f.write-f.resumed >= WindowSize {
				f.tracking = false
			}
			if !f.tracking {
				if err := f.inflateFast(); err != nil {
					return err
				}
			}
			if f.next == huffmanBlock && f.write <= len(f.output)-outputSlack {
				if err := f.inflateSymbol(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// isFull reports whether there is no room for more output.
func (f *inflater) isFull() bool { return f.write > len(f.output)-outputSlack }

// makeRoom removes data that was returned and is out of reach of matches.
func (f *inflater) makeRoom() {
	keep := min(f.read, max(f.start, f.write-WindowSize))
	copy(f.output, f.output[keep:f.write])
	f.read -= keep
	f.write -= keep
	f.start -= min(keep, f.start)
	f.resumed -= keep
}

func (f *inflater) readBlockHeader() error {
	if !f.has(3) {
		return f.cause()
	}
	f.last = f.take(1) == 1
	switch f.take(2) {
	case 0:
		f.align()
		if !f.has(32) {
			return f.cause()
		}
		length, inverse := f.take(16), f.take(16)
		if length != ^inverse&0xffff {
			return errDamaged
		}
		f.stored, f.next = int(length), storedBlock
		return f.copyStored()
	case 1:
		f.setFixedTables()
	case 2:
		f.fixed = false
		if err := f.readTables(); err != nil {
			return err
		}
	default:
		return errDamaged
	}
	f.next = huffmanBlock
	return nil
}

// setFixedTables sets the tables of the fixed codes, unless they are already set: a live
// stream uses them again and again.
func (f *inflater) setFixedTables() {
	if f.fixed {
		return
	}
	f.fixed = true
	buildTable(f.literals[:], literalBits, fixedLengths[:], literalMeanings[:])
	lengths := f.lengths[:32]
	for i := range lengths {
		lengths[i] = 5
	}
	buildTable(f.distances[:], distanceBits, lengths, distanceMeanings[:])
}

// codeLengthOrder is the order of the lengths of the code for code lengths: RFC 1951,
// section 3.2.7.
var codeLengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readTables reads the codes of a block.
func (f *inflater) readTables() error {
	if !f.has(14) {
		return f.cause()
	}
	literals, distances, codes := int(f.take(5))+257, int(f.take(5))+1, int(f.take(4))+4
	if literals > 286 || distances > 30 {
		return errDamaged
	}
	var codeLengths [19]uint8
	for _, symbol := range codeLengthOrder[:codes] {
		if !f.has(3) {
			return f.cause()
		}
		codeLengths[symbol] = uint8(f.take(3))
	}
	var table [1 << codeLengthBits]uint32
	if !buildTable(table[:], codeLengthBits, codeLengths[:], codeLengthMeanings[:]) {
		return errDamaged
	}
	lengths := f.lengths[:literals+distances]
	for i := 0; i < len(lengths); {
		_, symbol, err := f.takeCode(table[:], codeLengthBits)
		if err != nil {
			return err
		}
		if symbol < 16 {
			lengths[i] = uint8(symbol)
			i++
			continue
		}
		var length uint8
		base, extra := 3, uint(2)
		switch symbol {
		case 16:
			if i == 0 {
				return errDamaged
			}
			length = lengths[i-1]
		case 17:
			extra = 3
		case 18:
			base, extra = 11, 7
		}
		if !f.has(extra) {
			return f.cause()
		}
		repeat := base + int(f.take(extra))
		if repeat > len(lengths)-i {
			return errDamaged
		}
		for range repeat {
			lengths[i] = length
			i++
		}
	}
	if lengths[256] == 0 { // the block could not end
		return errDamaged
	}
	if !buildTable(f.literals[:], literalBits, lengths[:literals], literalMeanings[:]) ||
		!buildTable(f.distances[:], distanceBits, lengths[literals:], distanceMeanings[:]) {
		return errDamaged
	}
	return nil
}

// copyStored copies a stored block as far as there is room.
func (f *inflater) copyStored() error {
	room := f.output[f.write:]
	if f.stored < len(room) {
		room = room[:f.stored]
	}
	n := f.readFull(room)
	f.write += n
	f.stored -= n
	if n < len(room) {
		return f.cause()
	}
	if f.stored == 0 {
		f.endBlock()
	}
	return nil
}

func (f *inflater) endBlock() {
	f.next = blockHeader
	if f.last {
		f.next = afterLastBlock
	}
}

// inflateFast inflates while there is enough input and room.
func (f *inflater) inflateFast() error {
	var (
		in         = f.buffer
		next       = f.input.next
		hold       = f.bits
		count      = f.count
		output     = f.output
		write      = f.write
		start      = f.start
		literals   = &f.literals
		distances  = &f.distances
		err        error
		lastInput  = len(in) - inputSlack
		lastOutput = len(output) - outputSlack
	)
loop:
	for next <= lastInput && write <= lastOutput {
		hold |= binary.LittleEndian.Uint64(in[next:]) << (count & 63)
		next += int(63-count) >> 3
		count |= 56
		entry := literals[hold&(1<<literalBits-1)]
		if entry&isLiteral != 0 { // three of them leave 56 - 33 bits
			hold >>= entry & 63
			count -= uint(entry & 63)
			output[write] = byte(entry >> 16)
			write++
			entry = literals[hold&(1<<literalBits-1)]
			if entry&isLiteral != 0 {
				hold >>= entry & 63
				count -= uint(entry & 63)
				output[write] = byte(entry >> 16)
				write++
				entry = literals[hold&(1<<literalBits-1)]
				if entry&isLiteral != 0 {
					hold >>= entry & 63
					count -= uint(entry & 63)
					output[write] = byte(entry >> 16)
					write++
					continue
				}
			}
			hold |= binary.LittleEndian.Uint64(in[next:]) << (count & 63)
			next += int(63-count) >> 3
			count |= 56
		}
		if entry&isSpecial != 0 && entry&isSubtable != 0 {
			hold >>= literalBits
			count -= literalBits
			entry = literals[(uint64(entry>>16)+hold&(1<<(entry>>8&15)-1))&(literalTableSize-1)]
			if entry&isLiteral != 0 {
				hold >>= entry & 63
				count -= uint(entry & 63)
				output[write] = byte(entry >> 16)
				write++
				continue
			}
		}
		if entry&isSpecial != 0 {
			hold >>= entry & 63
			count -= uint(entry & 63)
			f.endBlock()
			break
		}
		length := int(entry>>16) + int(hold&(1<<(entry&63)-1)>>(entry>>8&15))
		hold >>= entry & 63
		count -= uint(entry & 63)
		if entry == 0 {
			err = errDamaged
			break
		}

		entry = distances[hold&(1<<distanceBits-1)] // up to 20 bits of 56 are gone, and this takes 28
		if entry&isSpecial != 0 {
			hold >>= distanceBits
			count -= distanceBits
			entry = distances[(uint64(entry>>16)+hold&(1<<(entry>>8&15)-1))&(distanceTableSize-1)]
		}
		distance := int(entry>>16) + int(hold&(1<<(entry&63)-1)>>(entry>>8&15))
		hold >>= entry & 63
		count -= uint(entry & 63)
		from := write - distance
		if entry == 0 {
			err = errDamaged
			break
		}
		if from < start {
			missing := f.writeMissing(write, min(length, start-from))
			write, from, length = write+missing, from+missing, length-missing
		}
		end := write + length
		if distance < 8 {
			for ; write < end; write++ {
				output[write] = output[from]
				from++
			}
			continue loop
		}
		for ; write < end; write += 8 {
			binary.LittleEndian.PutUint64(output[write:], binary.LittleEndian.Uint64(output[from:]))
			from += 8
		}
		write = end
	}
	f.input.next, f.count, f.write = next, count, write
	f.bits = hold & (1<<count - 1)
	return err
}

// inflateSymbol inflates one literal, one match or the end of the block.
func (f *inflater) inflateSymbol() error {
	entry, length, err := f.takeCode(f.literals[:], literalBits)
	switch {
	case err != nil:
		return err
	case entry&isLiteral != 0:
		f.output[f.write] = byte(entry >> 16)
		f.write++
		return nil
	case entry&isSpecial != 0:
		f.endBlock()
		return nil
	}
	_, distance, err := f.takeCode(f.distances[:], distanceBits)
	if err != nil {
		return err
	}
	from := f.write - distance
	if from < f.start {
		missing := f.writeMissing(f.write, min(length, f.start-from))
		f.write, from, length = f.write+missing, from+missing, length-missing
	}
	for range length {
		if f.tracking && from < f.resumed {
			f.reached[WindowSize-f.resumed+from] = true
		}
		f.output[f.write] = f.output[from]
		f.write++
		from++
	}
	return nil
}

// writeMissing writes zeros for the part of a match before the start of the data, and
// returns their number. The data after it may be correct, so decompression continues, as in
// gzip.
func (f *inflater) writeMissing(at, count int) int {
	f.damage = errDistance
	clear(f.output[at : at+count])
	return count
}

// takeCode reads a code and the bits after it, and returns the length or distance.
func (f *inflater) takeCode(table []uint32, tableBits uint) (entry uint32, number int, err error) {
	for {
		f.gather()
		entry, code := table[f.bits&(1<<tableBits-1)], uint(0)
		if entry&isSpecial != 0 && entry&isSubtable != 0 {
			code = tableBits
			entry = table[entry>>16+uint32(f.bits>>tableBits)&(1<<(entry>>8&15)-1)]
		}
		total := code + uint(entry&63)
		switch {
		case entry != 0 && total <= f.count:
			number := entry>>16 + uint32(f.bits&(1<<total-1)>>(code+uint(entry>>8&15)))
			f.drop(total)
			return entry, int(number), nil
		case entry == 0 && f.count >= maxCodeLength:
			return 0, 0, errDamaged
		case !f.more():
			return 0, 0, f.cause()
		}
	}
}
