package bunzip2

import (
	"errors"
	"fmt"
)

const (
	blockUnit   = 100_000 // bytes
	groupSize   = 50      // symbols that share a code
	maxCodes    = 6
	minCodes    = 2
	maxSelector = 1 << 15
	runLength   = 4 // number of equal bytes after which the number of further ones follows
)

var (
	errRandomized = errors.New("it is randomized, which only bzip2 before version 0.9.5 does")
	errCodes      = errors.New("its code tables are invalid")
	errSymbol     = errors.New("it has an unassigned code")
	errTooLong    = errors.New("it is longer than the file header allows")
	errOrigin     = errors.New("its origin is beyond its end")
)

// decoder decompresses blocks one after the other, and reuses its memory. The only
// specification of the format is the source code of bzip2 1.0.8: decompress.c.
type decoder struct {
	input
	codes     [maxCodes]code
	selectors [maxSelector]uint8 // the code of each group
	// links has, for each byte of a block in sorted order, the byte in the lowest eight
	// bits, and above them the position of the byte that follows it in the data.
	links    []uint32
	length   int // of the block, before its runs are written out
	contents contents
}

// block decompresses a block of up to size bytes without runs. The position is after its
// magic number. The contents are valid until the next call.
func (d *decoder) block(size int) (plain contents, checksum uint32, err error) {
	checksum = uint32(d.take(32))
	isRandomized, origin := d.take(1), int(d.take(24))
	alphabet := d.readAlphabet()
	selectors, err := d.readCodes(len(alphabet))
	if err == nil {
		err = d.readSymbols(alphabet, selectors, size)
	}
	switch {
	case d.missing:
		return contents{}, 0, d.cause()
	case isRandomized == 1:
		return contents{}, 0, errRandomized
	case err != nil:
		return contents{}, 0, err
	case origin >= d.length:
		return contents{}, 0, errOrigin
	}
	d.reorder(origin)
	if sum := d.contents.checksum(); sum != checksum {
		return contents{}, 0, fmt.Errorf("checksum is 0x%08x, wanted 0x%08x", sum, checksum)
	}
	return d.contents, checksum, nil
}

// readAlphabet reads the set of bytes that are in the block.
func (d *decoder) readAlphabet() (alphabet []byte) {
	ranges := d.take(16)
	for high := range 16 {
		if ranges>>(15-high)&1 == 0 {
			continue
		}
		bytes := d.take(16)
		for low := range 16 {
			if bytes>>(15-low)&1 == 1 {
				alphabet = append(alphabet, byte(high<<4|low))
			}
		}
	}
	return alphabet
}

// readCodes reads the codes, and which of them each group of symbols uses.
func (d *decoder) readCodes(alphabetSize int) (selectors []uint8, err error) {
	count := int(d.take(3))
	selectors = d.selectors[:d.take(15)]
	if alphabetSize == 0 || count < minCodes || count > maxCodes || len(selectors) == 0 {
		return nil, errCodes
	}
	latest := [maxCodes]uint8{0, 1, 2, 3, 4, 5} // moved to the front when used
	for i := range selectors {
		place := 0
		for d.take(1) == 1 {
			if place++; place == count {
				return nil, errCodes
			}
		}
		selectors[i] = moveToFront(latest[:], place)
	}
	for i := range count {
		var lengths [maxSymbols]uint8
		length := d.take(5)
		for symbol := range alphabetSize + 2 {
			for {
				if length < 1 || length > maxCodeLength {
					return nil, errCodes
				}
				if d.take(1) == 0 {
					break
				}
				length += 1 - 2*d.take(1)
			}
			lengths[symbol] = uint8(length)
		}
		if !d.codes[i].set(lengths[:alphabetSize+2]) {
			return nil, errCodes
		}
	}
	return selectors, nil
}

// moveToFront returns the byte at a position and moves it to the front.
func moveToFront(list []byte, place int) byte {
	b := list[place]
	copy(list[1:place+1], list)
	list[0] = b
	return b
}

// readSymbols reads the bytes of the block in sorted order. A symbol is a digit of the
// number of repetitions of the first byte of the alphabet, or the position of another byte
// in the alphabet, or the end.
func (d *decoder) readSymbols(alphabet, selectors []byte, size int) error {
	end := uint16(len(alphabet)) + 1
	if len(d.links) < size {
		d.links = make([]uint32, size)
	}
	links := d.links[:size]
	length, repeat, digit := 0, 0, 1
	for _, selector := range selectors {
		code := &d.codes[selector]
		for range groupSize {
			symbol, ok := d.symbol(code)
			if !ok {
				return errSymbol
			}
			if symbol < 2 {
				if repeat += digit << symbol; repeat > size-length {
					return errTooLong
				}
				digit <<= 1
				continue
			}
			if repeat > 0 {
				for i := range links[length : length+repeat] {
					links[length+i] = uint32(alphabet[0])
				}
				length += repeat
				repeat, digit = 0, 1
			}
			if symbol == end {
				d.length = length
				return nil
			}
			if length == size {
				return errTooLong
			}
			links[length] = uint32(moveToFront(alphabet, int(symbol)-1))
			length++
		}
	}
	return errCodes
}

// symbol reads a symbol. It requires more bits than the longest symbol has, because a block
// is never at the end of the data.
func (d *decoder) symbol(c *code) (symbol uint16, ok bool) {
	if d.count < maxCodeLength {
		d.has(maxCodeLength)
	}
	entry := c.table[d.bits>>(64-tableBits)]
	symbol, length := entry>>5, uint(entry&31)
	if entry == 0 {
		symbol, length = c.long(d.bits)
	}
	if length > d.count {
		d.missing = d.count < maxCodeLength
		return 0, false
	}
	if length > maxCodeLength {
		return 0, false
	}
	d.drop(length)
	return symbol, true
}

// reorder puts the bytes in the order of the data, from the position of the first one on,
// and extracts the lengths of the runs.
func (d *decoder) reorder(origin int) {
	links := d.links[:d.length]
	var next [256]uint32 // the place of the next link, by the byte
	for _, link := range links {
		next[byte(link)]++
	}
	sum := uint32(0)
	for b, count := range next {
		next[b] = sum
		sum += count
	}
	for i, link := range links {
		b := byte(link)
		links[next[b]] |= uint32(i) << 8
		next[b]++
	}
	literal, runs := d.contents.literal[:0], d.contents.runs[:0]
	link := links[origin]
	last, equal := byte(0), 0
	for range links {
		link = links[link>>8]
		b := byte(link)
		if equal == runLength {
			if b > 0 {
				runs = append(runs, run{uint32(len(literal)), uint32(b)})
			}
			equal = 0
			continue
		}
		if b != last {
			equal = 0
		}
		last = b
		equal++
		literal = append(literal, b)
	}
	d.contents = contents{literal, runs}
}
