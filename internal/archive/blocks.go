package archive

import (
	"bytes"
	"encoding/binary"
	"io"

	"pcap-replay/stream"
)

// blockStart is where a block of LZ4, a block of xz or a frame of zstd begins. It can be
// found without decompression. To decompress from there, read prefix first, which is the
// header of the stream.
type blockStart struct {
	offset int64 // in bytes of the uncompressed tarball
	place  int64 // in bytes of the archive
	prefix []byte
}

// maxBlockStarts is the largest number of them that is looked for.
const maxBlockStarts = 1 << 20

// findBlocks finds where blocks begin, as far as the archive says so. The result is not
// checked: a wrong place decompresses to other data.
func findBlocks(archive io.ReaderAt, size int64, compression stream.Compression) []blockStart {
	f := &blockFinder{archive: archive, size: size}
	switch compression {
	case stream.LZ4:
		f.findLZ4()
	case stream.Zstd:
		f.findZstd()
	case stream.XZ:
		f.findXZ()
	}
	return f.starts
}

type blockFinder struct {
	archive io.ReaderAt
	size    int64
	starts  []blockStart
	failed  bool
}

// read returns length bytes at place. If they are not there, it remembers that.
func (f *blockFinder) read(place int64, length int) []byte {
	data := make([]byte, length)
	if f.failed || place < 0 || place > f.size-int64(length) {
		f.failed = true
		return data
	}
	_, err := f.archive.ReadAt(data, place)
	f.failed = err != nil
	return data
}

func (f *blockFinder) add(offset, place int64, prefix []byte) bool {
	if f.failed || len(f.starts) == maxBlockStarts || offset < 0 {
		return false
	}
	f.starts = append(f.starts, blockStart{offset, place, prefix})
	return true
}

// findLZ4 walks through the blocks of the first frame (LZ4 frame format 1.6.4). Blocks do
// not say how much data they hold, but all except the last are full: every program writes
// them so.
func (f *blockFinder) findLZ4() {
	const isIndependent, hasBlockChecksum, hasContentSize, hasDictionary = 0x20, 0x10, 0x08, 0x01
	head := f.read(0, 7)
	flags := head[4]
	if f.failed || binary.LittleEndian.Uint32(head) != 0x184d2204 || flags&isIndependent == 0 || flags&hasDictionary != 0 {
		return
	}
	length := 7
	if flags&hasContentSize != 0 {
		length += 8
	}
	prefix := f.read(0, length)
	blockSize := int64(256) << (2 * (head[5] >> 4 & 7))
	checksum := int64(0)
	if flags&hasBlockChecksum != 0 {
		checksum = 4
	}
	place := int64(length)
	for offset := int64(0); ; offset += blockSize {
		size := binary.LittleEndian.Uint32(f.read(place, 4)) &^ (1 << 31)
		if size == 0 || !f.add(offset, place, prefix) {
			return
		}
		place += 4 + int64(size) + checksum
	}
}

// findZstd walks through frames as long as their headers have the size of their content
// (RFC 8878, section 3.1.1).
func (f *blockFinder) findZstd() {
	for offset, place := int64(0), int64(0); place < f.size; {
		head := f.read(place, 5)
		magic := binary.LittleEndian.Uint32(head)
		if magic&^0xf == 0x184d2a50 {
			place += 8 + int64(binary.LittleEndian.Uint32(f.read(place+4, 4)))
			continue
		}
		if magic != 0xfd2fb528 || !f.add(offset, place, nil) {
			return
		}
		descriptor := head[4]
		isSingleSegment := descriptor&0x20 != 0
		fields := place + 5 + [4]int64{0, 1, 2, 4}[descriptor&3]
		sizeLength := 1 << (descriptor >> 6)
		if !isSingleSegment {
			fields++ // the window
		}
		if sizeLength == 1 && !isSingleSegment {
			return
		}
		size := make([]byte, 8)
		copy(size, f.read(fields, sizeLength))
		offset += int64(binary.LittleEndian.Uint64(size))
		if sizeLength == 2 {
			offset += 256
		}
		if place = f.endOfZstdFrame(fields+int64(sizeLength), descriptor&0x04 != 0); f.failed {
			return
		}
	}
}

func (f *blockFinder) endOfZstdFrame(place int64, hasChecksum bool) int64 {
	for {
		head := f.read(place, 3)
		header := uint32(head[0]) | uint32(head[1])<<8 | uint32(head[2])<<16
		size := int64(header >> 3)
		if isRepeatedByte := header>>1&3 == 1; isRepeatedByte {
			size = 1
		}
		place += 3 + size
		if isLast := header&1 != 0; isLast || f.failed {
			if hasChecksum {
				place += 4
			}
			return place
		}
	}
}

// findXZ reads the index at the end of a stream, and those of the streams before it (.xz
// file format, sections 2.1 and 4).
func (f *blockFinder) findXZ() {
	var streams [][]blockStart // the last one first; offsets count from their start
	var sizes []int64
	for end := f.size; end > 0; {
		if padding := f.read(end-4, 4); bytes.Equal(padding, make([]byte, 4)) {
			end -= 4
			continue
		}
		footer := f.read(end-12, 12)
		if f.failed || string(footer[10:]) != "YZ" {
			return
		}
		index := end - 12 - (int64(binary.LittleEndian.Uint32(footer[4:]))+1)*4
		blocks, stored, plain, ok := f.readXZIndex(index, end-12)
		if !ok {
			return
		}
		start := index - stored - 12
		header := f.read(start, 12)
		if f.failed || string(header[:6]) != "\xfd7zXZ\x00" {
			return
		}
		for i := range blocks {
			blocks[i].place += start + 12
			blocks[i].prefix = header
		}
		streams, sizes = append(streams, blocks), append(sizes, plain)
		end = start
	}
	offset := int64(0)
	for i := len(streams) - 1; i >= 0; i-- {
		for _, b := range streams[i] {
			if !f.add(offset+b.offset, b.place, b.prefix) {
				return
			}
		}
		offset += sizes[i]
	}
}

// readXZIndex reads the index between two places. It returns the blocks, relative to the
// first one, and their compressed and uncompressed sizes.
func (f *blockFinder) readXZIndex(from, to int64) (blocks []blockStart, stored, plain int64, ok bool) {
	if from < 12 || to-from > 64<<20 {
		return nil, 0, 0, false
	}
	index := bytes.NewReader(f.read(from, int(to-from)))
	if indicator, err := index.ReadByte(); err != nil || indicator != 0 || f.failed {
		return nil, 0, 0, false
	}
	count, err := binary.ReadUvarint(index)
	if err != nil || count > maxBlockStarts {
		return nil, 0, 0, false
	}
	for range count {
		size, err1 := binary.ReadUvarint(index)
		content, err2 := binary.ReadUvarint(index)
		if err1 != nil || err2 != nil || size > 1<<60 || content > 1<<60 || stored > 1<<60 || plain > 1<<60 {
			return nil, 0, 0, false
		}
		blocks = append(blocks, blockStart{offset: plain, place: stored})
		stored += int64(size+3) &^ 3
		plain += int64(content)
	}
	return blocks, stored, plain, true
}
