package unxz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Flags of a block header, section 3.1.2.
const (
	filterCountMask = 0x03 // one less
	reservedFlags   = 0x3c
	hasStoredSize   = 0x40
	hasPlainSize    = 0x80
)

// maxNumber is the most bytes that a number takes: section 1.2.
const maxNumber = 9

// Filters, section 5.3. ARM64 is in version 1.2.0 of the format and later.
const (
	filterDelta = 0x03
	filterLZMA2 = 0x21
)

// branchFilters are those whose property is the offset of the first byte, by their ID.
// What they convert begins at multiples of alignment.
var branchFilters = map[int64]struct {
	new       func() filter
	alignment uint32
}{
	0x04: {x86, 1},
	0x05: {always(powerPC), 4},
	0x06: {always(ia64), 16},
	0x07: {always(arm), 4},
	0x08: {always(armThumb), 2},
	0x09: {always(sparc), 4},
	0x0a: {always(arm64), 4},
}

func always(f filter) func() filter { return func() filter { return f } }

// block describes the current block.
type block struct {
	data       io.Reader
	headerSize int64
	storedSize int64 // of the compressed data as the header says, or -1
	plainSize  int64 // of the data as the header says, or -1
	start      int64 // of the compressed data, in bytes from the start of the stream
	given      int64 // bytes of the data that Read has returned
}

var errFields = errors.New("its fields are invalid")

// parseHeader parses a header without its checksum: section 3.1. The last filter of the header
// is applied first.
func (b *block) parseHeader(header []byte) (filters []filterFlags, err error) {
	flags := header[1]
	if flags&reservedFlags != 0 {
		return nil, fmt.Errorf("unknown flags 0x%02x", flags)
	}
	b.headerSize, b.storedSize, b.plainSize = int64(len(header))+4, -1, -1
	fields := fields{rest: header[2:]}
	if flags&hasStoredSize != 0 {
		b.storedSize = fields.number()
	}
	if flags&hasPlainSize != 0 {
		b.plainSize = fields.number()
	}
	for range flags&filterCountMask + 1 {
		id := fields.number()
		filters = append(filters, filterFlags{id, fields.take(fields.number())})
	}
	if fields.failed || b.storedSize == 0 || len(bytes.Trim(fields.rest, "\x00")) > 0 {
		return nil, errFields
	}
	return filters, nil
}

// filterFlags are the ID and the properties of a filter.
type filterFlags struct {
	id         int64
	properties []byte
}

// fields are those of a block header.
type fields struct {
	rest   []byte
	failed bool
}

func (f *fields) take(size int64) (field []byte) {
	if size > int64(len(f.rest)) {
		f.failed = true
		return nil
	}
	field, f.rest = f.rest[:size], f.rest[size:]
	return field
}

// number reads a number, section 1.2: seven bits to a byte, the lowest first.
func (f *fields) number() int64 {
	number, size := binary.Uvarint(f.rest[:min(maxNumber, len(f.rest))])
	if size <= 0 || size > 1 && f.rest[size-1] == 0 {
		f.failed = true
		return 0
	}
	f.rest = f.rest[size:]
	return int64(number) // 63 bits
}

// open returns a reader that decompresses LZMA2, and then applies the other filters.
func (r *Reader) open(filters []filterFlags) (io.Reader, error) {
	last := len(filters) - 1
	if f := filters[last]; f.id != filterLZMA2 || len(f.properties) != 1 {
		return nil, fmt.Errorf("filter 0x%x with %d bytes of properties is not supported as the last one", f.id, len(f.properties))
	}
	size, err := dictionarySize(filters[last].properties[0])
	if err != nil {
		return nil, err
	}
	if size > r.maxDictionary {
		return nil, fmt.Errorf("it needs a dictionary of %d bytes, but at most %d are allowed", size, r.maxDictionary)
	}
	r.lzma2.reset(int(size))
	data := io.Reader(&r.lzma2)
	for i := last - 1; i >= 0; i-- {
		if data, err = openFilter(data, filters[i]); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// dictionarySize returns the size that the property of LZMA2 encodes, in bytes: section 5.3.1.
func dictionarySize(property byte) (int64, error) {
	if property > 40 {
		return 0, fmt.Errorf("dictionary size %d is invalid", property)
	}
	if property == 40 {
		return 1<<32 - 1, nil
	}
	return (2 | int64(property&1)) << (property/2 + 11), nil
}

// openFilter returns a reader that applies a filter other than LZMA2: sections 5.3.2 and 5.3.3.
func openFilter(data io.Reader, f filterFlags) (io.Reader, error) {
	branch, isBranch := branchFilters[f.id]
	switch size := len(f.properties); {
	case f.id == filterDelta && size == 1:
		return &filterReader{src: data, filter: delta(f.properties[0] + 1)}, nil
	case isBranch && size == 0:
		return &filterReader{src: data, filter: branch.new()}, nil
	case isBranch && size == 4:
		if offset := binary.LittleEndian.Uint32(f.properties); offset%branch.alignment == 0 {
			return &filterReader{src: data, filter: branch.new(), offset: offset}, nil
		}
	}
	return nil, fmt.Errorf("filter 0x%x with properties % x is not supported", f.id, f.properties)
}
