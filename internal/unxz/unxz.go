// Package unxz decompresses the .xz file format, version 1.2.1. Like xz, it returns all
// data before damage that can be decompressed. It does not read data after the end of a
// stream.
package unxz

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"

	"pcap-replay/internal/plural"
)

// The header and the footer of a stream, section 2.1.
const (
	headerMagic = "\xfd7zXZ\x00"
	headerSize  = 12 // bytes
	footerMagic = "YZ"
	footerSize  = 12 // bytes
)

// Reader decompresses a stream: a header, blocks, an index and a footer.
type Reader struct {
	lzma2
	maxDictionary int64
	finished      error // what Read returns after all data

	flags   [2]byte // of the stream
	resumed bool    // blocks of the stream have been skipped, so its index cannot be verified
	check   *check  // nil before the header of the stream
	blocks  blockList
	block   *block // nil between two blocks
}

// blockList has the sizes of all blocks that the index lists, as a checksum, because a
// stream may have more blocks than fit into memory.
type blockList struct{ count, sizes uint64 }

func (l *blockList) add(storedSize, plainSize uint64) {
	l.count++
	sizes := binary.AppendUvarint(binary.AppendUvarint(nil, storedSize), plainSize)
	l.sizes = crc64.Update(l.sizes, crc64Table, sizes)
}

// NewReader returns a Reader for streams with dictionaries of up to maxDictionary bytes.
// Reset it before the first Read.
func NewReader(maxDictionary int64) *Reader { return &Reader{maxDictionary: maxDictionary} }

// Reset makes r read the stream that begins in src, and reuses its memory. Read returns
// io.EOF after the stream and its padding, and leaves the rest in src.
func (r *Reader) Reset(src *bufio.Reader) {
	r.input = input{src: src}
	r.finished, r.check, r.blocks, r.block, r.resumed = nil, nil, blockList{}, nil, false
	r.chunk, r.chunkBefore = 0, 0
}

// Read implements io.Reader. It returns all data that could be decompressed before an
// error. The error is about the data, [io.ErrUnexpectedEOF] if it ends too early, or that
// of the source.
func (r *Reader) Read(p []byte) (int, error) {
	for r.finished == nil && len(p) > 0 {
		if r.block == nil {
			r.finished = r.next()
			continue
		}
		n, err := r.block.data.Read(p)
		r.block.given += int64(n)
		r.check.add(p[:n])
		if err == io.EOF {
			err = r.endBlock()
		}
		if err != nil {
			r.finished = fmt.Errorf("block %d: %w", r.blocks.count+1, err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.finished
}

// next reads a header, or everything after the blocks.
func (r *Reader) next() error {
	if r.check == nil {
		return r.readHeader()
	}
	r.startChunk()
	first := r.byte()
	switch {
	case r.missing:
		return r.cause()
	case first == 0: // an index, section 4.1
		return r.readEnd()
	}
	if err := r.readBlockHeader(first); err != nil {
		return fmt.Errorf("header of block %d: %w", r.blocks.count+1, err)
	}
	return nil
}

// readHeader reads the header of the stream: section 2.1.1.
func (r *Reader) readHeader() error {
	var header [headerSize]byte
	if err := r.readFull(header[:]); err != nil {
		return err
	}
	if string(header[:len(headerMagic)]) != headerMagic {
		return fmt.Errorf("header: it begins with %q", header[:len(headerMagic)])
	}
	if err := compareCRC32(header[6:8], header[8:]); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	r.flags = [2]byte(header[6:8])
	if r.flags[0] != 0 || r.flags[1] >= byte(len(checkSizes)) {
		return fmt.Errorf("header: unknown flags % x", r.flags)
	}
	r.check = newCheck(r.flags[1])
	return nil
}

// readBlockHeader reads the header of a block after its first byte, which tells its size:
// section 3.1.
func (r *Reader) readBlockHeader(first byte) error {
	header := make([]byte, (int(first)+1)*4)
	header[0] = first
	if err := r.readFull(header[1:]); err != nil {
		return err
	}
	checked := header[:len(header)-4]
	if err := compareCRC32(checked, header[len(checked):]); err != nil {
		return err
	}
	b := &block{start: r.position()}
	filters, err := b.parseHeader(checked)
	if err != nil {
		return err
	}
	if b.data, err = r.open(filters); err != nil {
		return err
	}
	r.check.reset()
	r.block = b
	return nil
}

// endBlock reads the end of a block after its compressed data: sections 3.3 and 3.4.
func (r *Reader) endBlock() error {
	b := r.block
	stored := r.position() - b.start
	for size := stored; size%4 != 0; size++ {
		if r.byte() != 0 {
			return errors.New("its padding is not zero")
		}
	}
	sum := make([]byte, r.check.size)
	if err := r.readFull(sum); err != nil {
		return err
	}
	if err := r.check.compare(sum); err != nil {
		return err
	}
	if b.storedSize >= 0 && stored != b.storedSize || b.plainSize >= 0 && b.given != b.plainSize {
		return fmt.Errorf("%s were compressed to %d, but its header says %d to %d", plural.Of(b.given, "byte"), stored, b.plainSize, b.storedSize)
	}
	r.blocks.add(uint64(b.headerSize+stored+r.check.size), uint64(b.given))
	r.block = nil
	return nil
}

// readEnd reads the index after its first byte, the footer and the padding.
func (r *Reader) readEnd() error {
	start := r.position() - 1
	if err := r.readIndex(start); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := r.readFooter(r.position() - start); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	r.release()
	const padding = "\x00\x00\x00\x00" // section 2.2
	for {
		if next, _ := r.src.Peek(len(padding)); string(next) != padding {
			return io.EOF
		}
		_, _ = r.src.Discard(len(padding))
	}
}

// readIndex compares the index with the blocks that were read: section 4.
func (r *Reader) readIndex(start int64) error {
	sum := crc32.ChecksumIEEE([]byte{0})
	count, listed := r.number(&sum), blockList{}
	for listed.count < count && (listed.count < r.blocks.count || r.resumed) && !r.missing {
		storedSize := r.number(&sum)
		listed.add(storedSize, r.number(&sum))
	}
	for (r.position()-start)%4 != 0 && !r.missing {
		sum = crc32.Update(sum, crc32.IEEETable, []byte{r.byte()})
	}
	var stored [4]byte
	if err := r.readFull(stored[:]); err != nil {
		return err
	}
	if err := compareSum(sum, stored[:]); err != nil {
		return err
	}
	if !r.resumed && (count != r.blocks.count || listed != r.blocks) {
		return fmt.Errorf("it lists %s, not the %d before it", plural.Of(count, "block"), r.blocks.count)
	}
	return nil
}

// number reads a number of the index, section 1.2, and adds it to a CRC32.
func (r *Reader) number(sum *uint32) uint64 {
	var digits []byte
	for last := false; !last && len(digits) < maxNumber; {
		digit := r.byte()
		digits = append(digits, digit)
		last = digit < 0x80
	}
	*sum = crc32.Update(*sum, crc32.IEEETable, digits)
	number, _ := binary.Uvarint(digits)
	return number
}

// readFooter reads the footer after an index of this size: section 2.1.2.
func (r *Reader) readFooter(indexSize int64) error {
	var footer [footerSize]byte
	if err := r.readFull(footer[:]); err != nil {
		return err
	}
	if err := compareCRC32(footer[4:10], footer[:4]); err != nil {
		return err
	}
	if size := (int64(binary.LittleEndian.Uint32(footer[4:])) + 1) * 4; size != indexSize {
		return fmt.Errorf("the index has %d bytes, wanted %d", indexSize, size)
	}
	if flags := [2]byte(footer[8:10]); flags != r.flags || string(footer[10:]) != footerMagic {
		return fmt.Errorf("it ends with % x, wanted % x % x", footer[8:], r.flags, footerMagic)
	}
	return nil
}
