package unxz

import (
	"errors"
	"io"
)

// stepSize is the number of bytes that are decompressed at a time. They are still in the
// CPU cache when they are read.
const stepSize = 32 << 10

var (
	errControl    = errors.New("unexpected LZMA2 chunk")
	errProperties = errors.New("invalid LZMA2 properties")
	errChunkEnd   = errors.New("an LZMA2 chunk does not end where its header says")
)

// What a chunk resets. Each of these includes those before it.
const (
	nothing = iota
	state
	properties
	dictionary
)

// lzma2 decompresses LZMA2 data: chunks of LZMA data, and uncompressed chunks. The only
// specification of the format is lzma2_decoder.c of XZ Utils.
type lzma2 struct {
	lzma
	left   int   // bytes of the chunk that have not been decompressed
	isLZMA bool  // the chunk is compressed
	end    int64 // where its LZMA data ends, in bytes from the start of the stream
	wanted int   // what the next chunk of LZMA data must reset
	ended  error // what Read returns after all data

	// chunk is where the chunk begins, and chunkBefore the one before it, in bytes from the
	// start of the stream. Damage may lie in both: a chunk without LZMA data has no redundancy.
	chunk, chunkBefore int64
}

// reset prepares for a block with a dictionary of this size in bytes.
func (d *lzma2) reset(dictionarySize int) {
	d.window.reset(dictionarySize)
	d.left, d.wanted, d.ended = 0, dictionary, nil
}

// Read implements io.Reader. It returns all data that could be decompressed before an
// error.
func (d *lzma2) Read(p []byte) (int, error) {
	for d.given == d.write {
		if d.ended != nil {
			return 0, d.ended
		}
		d.ended = d.step()
	}
	n := copy(p, d.ring[d.given:d.write])
	d.given += n
	return n, nil
}

// step decompresses a part of a chunk, or reads the header of the next one.
func (d *lzma2) step() error {
	if d.left == 0 {
		return d.readChunkHeader()
	}
	d.makeRoom()
	before := d.write
	err := d.decompress(min(len(d.ring), before+min(d.left, stepSize)))
	d.left -= d.write - before
	if err == nil && d.left == 0 && d.isLZMA {
		err = d.endLZMA()
	}
	return err
}

// decompress writes up to an end in the ring.
func (d *lzma2) decompress(end int) error {
	if d.isLZMA {
		return d.decode(end)
	}
	for d.write < end {
		if d.next == len(d.buffer) && !d.fill() {
			return d.cause()
		}
		n := copy(d.ring[d.write:end], d.buffer[d.next:])
		d.next += n
		d.write += n
	}
	return nil
}

// endLZMA checks that the LZMA data ends with the chunk.
func (d *lzma2) endLZMA() error {
	if d.interval.width < minWidth {
		d.interval = d.widen(d.interval)
	}
	if err := d.cause(); err != nil {
		return err
	}
	if d.match > 0 || d.interval.code != 0 || d.position() != d.end {
		return errChunkEnd
	}
	return nil
}

// readChunkHeader returns io.EOF at the end of the data.
func (d *lzma2) readChunkHeader() error {
	d.startChunk()
	control := d.byte()
	resets := nothing
	switch d.isLZMA = control >= 0x80; {
	case d.missing:
		return d.cause()
	case control == 0:
		return io.EOF
	case control == 1:
		resets = dictionary
	case d.isLZMA:
		resets = int(control >> 5 & 3)
	case control > 2:
		return errControl
	}
	if resets == dictionary {
		d.forget()
		d.wanted = properties
	}
	if d.wanted == dictionary || d.isLZMA && resets < d.wanted {
		return errControl
	}
	var head [4]byte
	if !d.isLZMA {
		err := d.readFull(head[:2])
		d.left = int(head[0])<<8 + int(head[1]) + 1
		return err
	}
	if err := d.readFull(head[:]); err != nil {
		return err
	}
	d.left = int(control&0x1f)<<16 + int(head[0])<<8 + int(head[1]) + 1
	if resets >= properties && !d.setProperties(d.byte()) {
		return errProperties
	}
	if resets >= state {
		d.resetState()
	}
	d.wanted = nothing
	d.end = d.position() + int64(head[2])<<8 + int64(head[3]) + 1
	return d.begin()
}

// startChunk notes that a chunk, or a header of another kind, begins here.
func (d *lzma2) startChunk() { d.chunkBefore, d.chunk = d.chunk, d.position() }
