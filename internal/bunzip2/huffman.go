package bunzip2

const (
	maxSymbols    = 256 + 2 // bytes, less one, two digits of run lengths and the end
	maxCodeLength = 20      // bits
	tableBits     = 10      // codes of up to so many bits are looked up
)

// code is a canonical Huffman code. The codes of one length are successive numbers. A longer
// code begins with bits that are a greater number than any of them.
type code struct {
	// table has, for the next tableBits bits, the symbol times 32 plus the length of its
	// code. It is 0 if the code is longer or does not exist.
	table [1 << tableBits]uint16
	// limit has, for each length, the number after the last code of that length, with zeros
	// appended up to maxCodeLength bits. base is added to a code to get its place in symbols.
	limit   [maxCodeLength + 1]uint32
	base    [maxCodeLength + 1]int32
	symbols [maxSymbols]uint16 // by their codes
}

// set makes the code from the lengths of symbols, and reports whether there is such a code.
func (c *code) set(lengths []uint8) bool {
	clear(c.table[:])
	next, place := uint32(0), 0
	for length := uint32(1); length <= maxCodeLength; length++ {
		next <<= 1
		c.base[length] = int32(place) - int32(next)
		for symbol, l := range lengths {
			if uint32(l) != length {
				continue
			}
			c.symbols[place] = uint16(symbol)
			place++
			if next>>length != 0 {
				return false
			}
			if length <= tableBits {
				from := next << (tableBits - length)
				for i := range uint32(1) << (tableBits - length) {
					c.table[from+i] = uint16(symbol)<<5 | uint16(length)
				}
			}
			next++
		}
		c.limit[length] = next << (maxCodeLength - length)
	}
	return true
}

// long finds the symbol of a code that is longer than tableBits, by the next bits. It returns
// a length over maxCodeLength if there is no such code.
func (c *code) long(bits uint64) (symbol uint16, length uint) {
	ahead := uint32(bits >> (64 - maxCodeLength))
	for length = tableBits + 1; length <= maxCodeLength; length++ {
		if ahead < c.limit[length] {
			return c.symbols[c.base[length]+int32(ahead>>(maxCodeLength-length))], length
		}
	}
	return 0, length
}
