package bunzip2

import (
	"bufio"
	"io"
)

// MaxSearch is the most bytes that FindBlock reads after the start of the block it finds.
const MaxSearch = maxPiece + 128<<10

// DamagedBlock is where the block begins in which Read has failed, or the end of the file,
// in bytes from its start.
func (r *Reader) DamagedBlock() int64 { return r.start / 8 }

// FindBlock looks in src for a block that can be decompressed, as bzip2recover does. It
// returns where the block begins, in bits from the start of src. If the block is the first
// one of a file, it returns the start of the file instead, and isFile is true. FindBlock may
// read up to MaxSearch bytes more than that. It decompresses no byte of src twice. It ends
// the reading of Read: call ResetSingle or ResumeSingle afterwards.
func (r *Reader) FindBlock(src io.Reader) (bit int64, isFile, found bool) {
	cutPieces(src, func(p *piece) bool {
		if found = p.isBlock && r.decodes(p); found {
			bit = p.start
			return false
		}
		header := p.data[max(0, p.own-headerSize):p.own]
		isFile = p.end%8 == 0 && len(header) == headerSize && isHeader(header)
		return true
	})
	if isFile = isFile && found; isFile {
		bit -= int64(headerSize) * 8
	}
	return bit, isFile, found
}

// ResumeSingle is Resume for the rest of a single file, as after ResetSingle.
func (r *Reader) ResumeSingle(src *bufio.Reader, bit int64) {
	r.Resume(src, bit)
	r.single, r.start = true, bit
}
