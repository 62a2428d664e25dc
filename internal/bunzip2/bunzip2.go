// Package bunzip2 decompresses bzip2. It is almost twice as fast as compress/bzip2 and has
// five more features: it does not read data after the end of a file, it verifies a block
// before it returns any of its data, it can start at any block, it finds the next intact
// block after damage, and it uses several cores.
package bunzip2

import (
	"bufio"
	"fmt"
	"io"
)

// A file consists of a header, blocks and an end. Blocks and the end may begin at any bit,
// with a magic number and a checksum: that of the block, or that of all blocks. A block
// does not contain its size, and may contain both magic numbers by chance. Only
// decompression finds its end.
const (
	fileMagic  = "BZh" // and a digit: how many times blockUnit bytes a block has at most
	headerSize = len(fileMagic) + 1
	blockMagic = 0x314159265359
	endMagic   = 0x177245385090
	magicBits  = 48
	maxLevel   = 9
)

// TrailingError means that the last file is followed by data that is neither another file
// nor padding with zeros.
type TrailingError struct{ Head []byte }

func (e *TrailingError) Error() string { return fmt.Sprintf("bzip2 data is followed by %q", e.Head) }

// Reader decompresses a bzip2 file, or several concatenated ones.
type Reader struct {
	decoder
	// OnBlock, if it is set, is called before the data of each block is read, with the
	// offset of the block in bytes of the data, and in bits of the file.
	OnBlock func(offset, bit int64)

	ahead    *ahead // nil if blocks are decompressed one at a time
	single   bool   // only the first file is read
	inFile   bool   // otherwise a header is next
	resumed  bool   // reading began inside this file, so its checksum cannot be verified
	size     int    // bytes of a block, at most
	checksum uint32 // of the blocks of this file
	blocks   int64
	offset   int64          // after the last block, in bytes of the data
	start    int64          // of the last block or end, in bits of the file
	unread   contentsReader // of the last block
	finished error          // what Read returns after the last block
}

// ResetSingle makes r read a single file from its start, and reuses its memory. Read
// returns io.EOF after the file, and leaves the rest in src.
func (r *Reader) ResetSingle(src *bufio.Reader) {
	r.reset(src)
	r.single = true
}

// NewParallelReader returns a Reader that starts at a file header. It decompresses up to
// workers or 16 blocks at the same time in goroutines of its own. Close ends them.
func NewParallelReader(src io.Reader, workers int) *Reader {
	r := new(Reader)
	a := newAhead(src, workers)
	r.reset(bufio.NewReaderSize(a, 4<<10)) // large reads bypass it
	r.ahead = a
	return r
}

// Resume makes r continue with a block that begins at bit, as reported by OnBlock. src
// begins with the byte that contains this bit. The checksum of this file cannot be
// verified.
func (r *Reader) Resume(src *bufio.Reader, bit int64) {
	r.reset(src)
	r.base = bit / 8
	r.inFile, r.resumed, r.size = true, true, maxLevel*blockUnit
	r.take(uint(bit % 8))
}

func (r *Reader) reset(src *bufio.Reader) {
	r.input = input{src: src}
	r.OnBlock, r.ahead, r.single, r.inFile, r.resumed = nil, nil, false, false, false
	r.checksum, r.blocks, r.offset, r.start, r.unread, r.finished = 0, 0, 0, 0, contentsReader{}, nil
}

// Read implements io.Reader. It returns all blocks before a damaged one, and then the
// error: a [*TrailingError], an error about the data, [io.ErrUnexpectedEOF] if the data
// ends too early, or the error of the source. It returns nothing of a damaged block,
// because a single wrong bit changes the order of its bytes.
func (r *Reader) Read(p []byte) (int, error) {
	for {
		if n := r.unread.read(p); n > 0 || len(p) == 0 {
			return n, nil
		}
		if r.finished != nil {
			return 0, r.finished
		}
		r.finished = r.next()
	}
}

// Close ends the goroutines of NewParallelReader. Nothing reads the source after that.
func (r *Reader) Close() error {
	if r.ahead != nil {
		r.ahead.close()
	}
	return nil
}

// next reads a header, a block or an end.
func (r *Reader) next() error {
	if !r.inFile {
		return r.readHeader()
	}
	r.start = r.position()
	magic := r.take(magicBits)
	switch {
	case r.missing:
		return r.cause()
	case magic == endMagic:
		return r.readEnd()
	case magic != blockMagic:
		return fmt.Errorf("block %d begins with 0x%012x, wanted 0x%012x", r.blocks+1, magic, int64(blockMagic))
	}
	plain, checksum, err := r.readBlock(r.start)
	r.blocks++
	if err != nil {
		return fmt.Errorf("block %d: %w", r.blocks, err)
	}
	if r.OnBlock != nil {
		r.OnBlock(r.offset, r.start)
	}
	r.checksum = (r.checksum<<1 | r.checksum>>31) ^ checksum
	r.offset += plain.size()
	r.unread = contentsReader{contents: plain}
	return nil
}

// readBlock reads the block at a bit, after its magic.
func (r *Reader) readBlock(start int64) (plain contents, checksum uint32, err error) {
	if r.ahead != nil {
		if p := r.ahead.block(start); p != nil && p.decoder.length <= r.size {
			r.skip(p.end - r.position())
			return p.plain, p.checksum, r.cause()
		}
	}
	return r.block(r.size)
}

// readHeader reads the header of a file, and returns an error if there is other data.
func (r *Reader) readHeader() error {
	isFirst := r.position() == 0
	var head []byte
	for len(head) < headerSize && r.has(8) {
		head = append(head, byte(r.take(8)))
	}
	if len(head) == headerSize && isHeader(head) {
		r.size = int(head[3]-'0') * blockUnit
		r.inFile, r.resumed, r.checksum = true, false, 0
		return nil
	}
	switch {
	case !isFirst:
		return r.trailing(head)
	case len(head) == headerSize:
		return fmt.Errorf("it begins with %q, which is not a header", head)
	}
	r.take(8) // fails, because the data ends here
	return r.cause()
}

func isHeader(head []byte) bool {
	return string(head[:3]) == fileMagic && head[3] >= '1' && head[3] <= '0'+maxLevel
}

// trailing returns an error if the last file is followed by anything but zeros.
func (r *Reader) trailing(head []byte) error {
	for _, b := range head {
		if b != 0 {
			return &TrailingError{head}
		}
	}
	for r.has(8) {
		if r.take(8) != 0 {
			return &TrailingError{head}
		}
	}
	return r.err
}

// readEnd reads the end after its magic number.
func (r *Reader) readEnd() error {
	checksum := uint32(r.take(32))
	if err := r.cause(); err != nil {
		return err
	}
	if checksum != r.checksum && !r.resumed {
		return fmt.Errorf("checksum of all blocks is 0x%08x, wanted 0x%08x", r.checksum, checksum)
	}
	r.align()
	r.inFile = false
	if r.single {
		r.release()
		return io.EOF
	}
	return nil
}
