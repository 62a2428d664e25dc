package unframe

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Damaged data may consist of frame headers only, and each is probed. The bounds keep the
// work in proportion to the data: a probe takes up to about a millisecond.
const (
	freeProbes    = 64
	bytesPerProbe = 16 << 10
)

// Finder finds frames of one kind after damage.
type Finder struct {
	magic  string
	used   int64 // how often a frame was probed
	frame  *bufio.Reader
	open   func(*bufio.Reader) *Reader
	zstd   *zstd.Decoder
	buffer []byte // for the data of a block
}

// NewFinder returns a Finder of frames that begin with magic: [LZ4], [LegacyLZ4] or [Zstd].
// Close it after use.
func NewFinder(magic string) *Finder {
	p := &Finder{magic: magic, frame: bufio.NewReaderSize(nil, 16), open: openLZ4}
	if magic == Zstd {
		p.open = NewZstd
		p.zstd, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)) // which is valid
	}
	return p
}

func openLZ4(src *bufio.Reader) *Reader {
	return NewLZ4(src, func([]byte) bool { return false })
}

// Magic is the parameter of [NewFinder].
func (p *Finder) Magic() string { return p.magic }

// Close frees the memory.
func (p *Finder) Close() {
	if p.zstd != nil {
		p.zstd.Close()
	}
}

// Find goes to the next frame in src whose first block can be decompressed, and reports
// whether there is one. position is the offset of src in the data: the work is in proportion
// to it.
func (p *Finder) Find(src *bufio.Reader, position func() int64) bool {
	for {
		if head, _ := src.Peek(len(p.magic)); len(head) < len(p.magic) {
			return false
		}
		buffer, _ := src.Peek(src.Buffered())
		at := bytes.Index(buffer, []byte(p.magic))
		if at < 0 {
			_, _ = src.Discard(len(buffer) - len(p.magic) + 1)
			continue
		}
		_, _ = src.Discard(at)
		if p.used < freeProbes+position()/bytesPerProbe && p.Accepts(src) {
			return true
		}
		_, _ = src.Discard(1)
	}
}

// Accepts reports whether src is at a frame whose first block can be decompressed. A block of
// LZ4 may be longer than the buffer of src: its length and the checksum of the header decide
// then.
func (p *Finder) Accepts(src *bufio.Reader) bool {
	p.used++
	ahead, _ := src.Peek(src.Size())
	if p.frame.Size() < src.Size() {
		p.frame = bufio.NewReaderSize(nil, src.Size())
	}
	p.frame.Reset(bytes.NewReader(ahead))
	frame := p.open(p.frame)
	header, block := frame.firstPieces()
	if p.zstd != nil {
		return block >= 3 && header+block <= len(ahead) && block <= frame.MaxPiece && p.decompresses(ahead[4], ahead[header:header+block])
	}
	const length = 4 // of the field before a block
	if isValid, _ := lz4.ValidFrameHeader(ahead); !isValid || block < length || block > frame.MaxPiece {
		return false
	}
	if header+block > len(ahead) {
		return len(ahead) == src.Size()
	}
	return p.decompressesLZ4(ahead[header:header+block], frame.MaxPiece)
}

// firstPieces returns the length of the header of a frame, and of its first block.
func (f *Reader) firstPieces() (header, block int) {
	header, err := f.next(f.src)
	if _, skipErr := f.src.Discard(header); err != nil || skipErr != nil {
		return header, -1
	}
	if block, err = f.next(f.src); err != nil {
		return header, -1
	}
	return header, block
}

// decompresses reports whether a block can begin a frame of zstd whose header has these
// flags. It decompresses the block as a frame of its own with a small window. A window of the
// real frame may take 128 MiB.
func (p *Finder) decompresses(flags byte, block []byte) bool {
	const reserved, window, last = 0x08, 7 << 3, 1 // 1<<(10+7) bytes: RFC 8878, section 3.1.1.1
	if flags&reserved != 0 {
		return false
	}
	frame := append([]byte(Zstd), 0, window)
	frame = append(frame, block[0]|last)
	if err := p.zstd.Reset(io.MultiReader(bytes.NewReader(frame), bytes.NewReader(block[1:]))); err != nil {
		return false
	}
	if p.buffer == nil {
		p.buffer = make([]byte, maxZstdBlock)
	}
	err := error(nil)
	for err == nil {
		_, err = p.zstd.Read(p.buffer)
	}
	return err == io.EOF
}

// decompressesLZ4 reports whether a block with its length can be decompressed. maxPiece is
// more than it can hold.
func (p *Finder) decompressesLZ4(block []byte, maxPiece int) bool {
	const isPlain = 0x80 // in the last byte of the length
	size := int(uint32(block[0]) | uint32(block[1])<<8 | uint32(block[2])<<16 | uint32(block[3]&^isPlain)<<24)
	if block[3]&isPlain != 0 || size == 0 {
		return true
	}
	if len(p.buffer) < maxPiece {
		p.buffer = make([]byte, maxPiece)
	}
	_, err := lz4.UncompressBlock(block[4:4+size], p.buffer)
	return err == nil
}
