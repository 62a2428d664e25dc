package bunzip2

import (
	"bytes"
	"io"
	"sync"
)

// maxPiece is larger than a block of random data. A larger piece is not decompressed ahead.
const maxPiece = 2 << 20

// maxWorkers limits the memory on machines with many cores: a block takes up to 8 MB with
// its piece, so all of them take up to about 150 MB.
const maxWorkers = 16

// ahead decompresses blocks before the Reader needs them. It takes the data between two
// magic numbers as a block. The Reader knows where a block begins, and uses the result if
// it was one.
type ahead struct {
	src      io.Reader
	pieces   chan *piece // in order
	stop     chan struct{}
	stopped  chan struct{}
	decoders sync.Pool

	last   *piece   // the last one that Read has received
	unread []byte   // data of last that Read has not returned
	blocks []*piece // those that Read has received, and that are not before the last call of block
	used   *piece   // the one whose data the Reader uses
}

// piece is the data between two magic numbers.
type piece struct {
	start, end int64  // in bits of the file
	data       []byte // from the byte that holds begin to the one that holds end
	own        int    // bytes of data that are not also in the next piece
	isBlock    bool   // it begins with the magic of a block
	err        error  // error of the source after data

	done     chan struct{} // closed when the fields below are set
	decoder  *decoder      // nil if the piece is not a block
	plain    contents      // what decoder returned
	checksum uint32
}

func newAhead(src io.Reader, workers int) *ahead {
	a := &ahead{
		src: src, pieces: make(chan *piece, max(min(workers, maxWorkers)-1, 0)), stop: make(chan struct{}), stopped: make(chan struct{}),
		decoders: sync.Pool{New: func() any { return new(decoder) }},
	}
	go a.scan()
	return a
}

func (a *ahead) close() {
	close(a.stop)
	<-a.stopped
}

// scan cuts the data into pieces and starts their decompression.
func (a *ahead) scan() {
	defer close(a.stopped)
	cutPieces(a.src, a.send)
}

// cutPieces cuts the data of src into pieces, until it ends or yield returns false.
func cutPieces(src io.Reader, yield func(*piece) bool) {
	p, latest, read := new(piece), uint64(0), int64(0)
	buffer := make([]byte, 64<<10)
	for {
		n, err := src.Read(buffer)
		kept := 0 // up to this byte, the buffer has been cut into pieces
		for i, b := range buffer[:n] {
			latest = latest<<8 | uint64(b)
			read++
			magic, bit := findMagic(latest)
			if magic == 0 && len(p.data)+i-kept < maxPiece {
				continue
			}
			p.data = append(p.data, buffer[kept:i+1]...)
			kept = i + 1
			end := read * 8 // end of a piece that is too long
			if magic != 0 {
				end -= bit + magicBits
			}
			next := p.cut(end)
			next.isBlock = magic == blockMagic
			if !yield(p) {
				return
			}
			p = next
		}
		p.data = append(p.data, buffer[kept:n]...)
		if err != nil {
			p.cut(read * 8)
			p.err = err
			yield(p)
			return
		}
	}
}

// cut ends a piece at a bit and gives the next one.
func (p *piece) cut(end int64) (next *piece) {
	p.end, p.own = end, int(end/8-p.start/8)
	return &piece{start: end, data: bytes.Clone(p.data[p.own:])}
}

// middles has, for every value of a byte, whether it can be the third byte from the end if a
// magic number ends in the last one.
var middles = func() (middles [256]bool) {
	for shift := range 8 {
		middles[uint64(blockMagic)<<shift>>16&0xff], middles[uint64(endMagic)<<shift>>16&0xff] = true, true
	}
	return middles
}()

// findMagic finds a magic number that ends in the last byte, this many bits before its end.
func findMagic(latest uint64) (magic uint64, bit int64) {
	if !middles[byte(latest>>16)] {
		return 0, 0
	}
	for shift := range 8 {
		if found := latest >> shift & (1<<magicBits - 1); found == blockMagic || found == endMagic {
			return found, int64(shift)
		}
	}
	return 0, 0
}

// send starts the decompression of a piece and passes it on. It returns whether more pieces
// are needed.
func (a *ahead) send(p *piece) bool {
	if p.isBlock {
		p.done = make(chan struct{})
		go a.decompress(p)
	}
	select {
	case a.pieces <- p:
		return true
	case <-a.stop:
		return false
	}
}

// decompress decompresses a piece if it is a block.
func (a *ahead) decompress(p *piece) {
	defer close(p.done)
	d := a.decoders.Get().(*decoder)
	if !d.decodes(p) {
		a.decoders.Put(d)
		return
	}
	p.decoder = d
}

// decodes decompresses a piece, and reports whether it is a block.
func (d *decoder) decodes(p *piece) bool {
	d.input = input{buffer: p.data, base: p.start / 8}
	d.take(uint(p.start % 8))
	d.take(magicBits)
	var err error
	p.plain, p.checksum, err = d.block(maxLevel * blockUnit)
	return err == nil && d.position() == p.end
}

// Read passes the decompressed data to the Reader.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.unread) == 0 {
		if a.last != nil && a.last.err != nil {
			return 0, a.last.err
		}
		a.last = <-a.pieces
		a.unread = a.last.data[:a.last.own]
		if a.last.isBlock {
			a.blocks = append(a.blocks, a.last)
		}
	}
	n := copy(p, a.unread)
	a.unread = a.unread[n:]
	return n, nil
}

// block returns the block that begins at a bit, or nil if it has not been decompressed. It
// is valid until the next call.
func (a *ahead) block(start int64) *piece {
	if a.used != nil {
		a.decoders.Put(a.used.decoder)
		a.used = nil
	}
	for len(a.blocks) > 0 && a.blocks[0].start < start {
		a.blocks = a.blocks[1:]
	}
	if len(a.blocks) == 0 || a.blocks[0].start > start {
		return nil
	}
	p := a.blocks[0]
	a.blocks = a.blocks[1:]
	if <-p.done; p.decoder == nil {
		return nil
	}
	a.used = p
	return p
}
