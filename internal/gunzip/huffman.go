package gunzip

import "math/bits"

// Codes are looked up in a table by their first bits. A second table has the rest of the
// few longer ones.
const (
	maxCodeLength  = 15
	literalBits    = 11 // of the first table
	distanceBits   = 9
	codeLengthBits = 7
)

// An entry of a table has the meaning of a code and its number of bits:
//
//	bits 0-5    bits of the code and of the number after it together
//	bits 8-11   bits of the code alone
//	bits 12-15  the flags below
//	bits 16-31  the literal, the base of a length or distance, or where the second table begins
//
// An entry of zero means that the code does not exist.
const (
	isLiteral  = 1 << 15
	isSpecial  = 1 << 14 // not a literal, length or distance
	isSubtable = 1 << 13 // bits 8-11 say by how many bits the second table is looked up
	isEnd      = 1 << 12 // of the block
)

// Sizes of tables, powers of two that hold every complete code: a second table has
// 1<<4 entries for literals and 1<<6 for distances, and two symbols at least.
const (
	literalTableSize  = 1 << 13
	distanceTableSize = 1 << 11
)

// Meanings of the symbols, before the length of their codes is known: RFC 1951,
// section 3.2.5.
var (
	literalMeanings    [288]uint32
	distanceMeanings   [32]uint32
	codeLengthMeanings [19]uint32
	fixedLengths       [288]uint8
)

func init() {
	for i := range 256 {
		literalMeanings[i] = uint32(i)<<16 | isLiteral
	}
	literalMeanings[256] = isSpecial | isEnd
	base := uint32(3)
	for i := range 28 {
		extra := uint32(max(i/4-1, 0))
		literalMeanings[257+i] = base<<16 | extra
		base += 1 << extra
	}
	literalMeanings[285] = 258 << 16
	base = 1
	for i := range 30 {
		extra := uint32(max(i/2-1, 0))
		distanceMeanings[i] = base<<16 | extra
		base += 1 << extra
	}
	for i := range codeLengthMeanings {
		codeLengthMeanings[i] = uint32(i) << 16
	}
	for i := range fixedLengths {
		switch {
		case i < 144, i >= 280:
			fixedLengths[i] = 8
		case i < 256:
			fixedLengths[i] = 9
		default:
			fixedLengths[i] = 7
		}
	}
}

// noMeaning marks symbols that have codes, but must not appear in data.
const noMeaning = 0

// buildTable makes the table for codes of the given lengths: RFC 1951, section 3.2.2. It
// refuses a code that is over-subscribed. It also refuses an incomplete code, unless it has
// no symbol, or one symbol of one bit.
func buildTable(table []uint32, tableBits uint, lengths []uint8, meanings []uint32) bool {
	var count [maxCodeLength + 1]int
	for _, length := range lengths {
		count[length]++
	}
	symbols := len(lengths) - count[0]
	count[0] = 0
	var code [maxCodeLength + 2]uint32 // the next one of each length
	left, longest := 1, uint(0)
	for length := 1; length <= maxCodeLength; length++ {
		left = left<<1 - count[length]
		if left < 0 {
			return false
		}
		code[length+1] = (code[length] + uint32(count[length])) << 1
		if count[length] > 0 {
			longest = uint(length)
		}
	}
	if left > 0 && symbols > 0 && !(symbols == 1 && count[1] == 1) {
		return false
	}
	clear(table)
	free := 1 << tableBits // where the next second table goes
	subtableBits := uint(0)
	if longest > tableBits {
		subtableBits = longest - tableBits
	}
	for symbol, length := range lengths {
		if length == 0 {
			continue
		}
		length := uint(length)
		reversed := bits.Reverse16(uint16(code[length])) >> (16 - length)
		code[length]++
		entry := meanings[symbol]
		if entry == noMeaning && symbol > 0 {
			continue
		}
		extra := uint(entry & 63)
		entry = entry&^63 | uint32(length)<<8
		if length <= tableBits {
			entry |= uint32(length + extra)
			for i := int(reversed); i < 1<<tableBits; i += 1 << length {
				table[i] = entry
			}
			continue
		}
		first := &table[reversed&(1<<tableBits-1)]
		if *first == 0 {
			*first = uint32(free)<<16 | isSpecial | isSubtable | uint32(subtableBits)<<8 | uint32(tableBits)
			free += 1 << subtableBits
		}
		// The entry counts from the start of the second lookup.
		entry = entry&^(15<<8) | uint32(length-tableBits)<<8 | uint32(length-tableBits+extra)
		subtable := table[*first>>16:][:1<<subtableBits]
		for i := int(reversed >> tableBits); i < len(subtable); i += 1 << (length - tableBits) {
			subtable[i] = entry
		}
	}
	return true
}
