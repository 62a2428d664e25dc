package bunzip2

// contents is the data of a block without its runs written out. A block of 900,000 bytes
// may expand to 46 MB, and several blocks are in memory at a time.
type contents struct {
	literal []byte
	runs    []run // by place
}

// run repeats the byte before a position of the literal data.
type run struct {
	place uint32 // in bytes of the literal data of the block
	more  uint32 // how often
}

// size is the number of bytes with the runs written out.
func (c contents) size() int64 {
	size := int64(len(c.literal))
	for _, r := range c.runs {
		size += int64(r.more)
	}
	return size
}

// checksum is the checksum of the data with the runs written out.
func (c contents) checksum() uint32 {
	sum, place := ^uint32(0), uint32(0)
	for _, r := range c.runs {
		sum = addToChecksum(sum, c.literal[place:r.place])
		place = r.place
		last := c.literal[place-1]
		for range r.more {
			sum = sum<<8 ^ checksumTable[byte(sum>>24)^last]
		}
	}
	return ^addToChecksum(sum, c.literal[place:])
}

// checksumTable is the table of the CRC-32 of Ethernet, highest bit first.
var checksumTable = func() (table [256]uint32) {
	for i := range table {
		sum := uint32(i) << 24
		for range 8 {
			sum = sum<<1 ^ sum>>31*0x04c11db7
		}
		table[i] = sum
	}
	return table
}()

func addToChecksum(sum uint32, data []byte) uint32 {
	for _, b := range data {
		sum = sum<<8 ^ checksumTable[byte(sum>>24)^b]
	}
	return sum
}

// contentsReader reads a block with its runs written out.
type contentsReader struct {
	contents
	place   uint32 // in the literal data
	written uint32 // of the run that comes next
}

// read fills p, or returns less at the end.
func (c *contentsReader) read(p []byte) (n int) {
	for n < len(p) {
		end := uint32(len(c.literal))
		if len(c.runs) > 0 {
			end = c.runs[0].place
		}
		if c.place < end {
			count := copy(p[n:], c.literal[c.place:end])
			c.place += uint32(count)
			n += count
			continue
		}
		if len(c.runs) == 0 {
			return n
		}
		n += c.writeRun(p[n:])
	}
	return n
}

// writeRun writes the rest of the next run, as far as there is room.
func (c *contentsReader) writeRun(p []byte) int {
	last, left := c.literal[c.place-1], c.runs[0].more-c.written
	count := min(int(left), len(p))
	for i := range p[:count] {
		p[i] = last
	}
	if c.written += uint32(count); c.written == c.runs[0].more {
		c.runs, c.written = c.runs[1:], 0
	}
	return count
}
