package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"io"

	"pcap-replay/stream"
)

// A bzip2 file is a header and a row of blocks that begin at any bit: with a magic of
// 48 bits and a checksum. It ends with another magic and a checksum of all. Nothing in
// a block refers to another, so each is made a file of its own, and several are
// decompressed at the same time.
const (
	bzip2Header     = "BZh9"
	bzip2BlockMagic = 0x314159265359
	bzip2EndMagic   = 0x177245385090
	bzip2MagicBits  = 48
	// maxBzip2Block is more than 900 kB take that cannot be compressed, in bytes.
	maxBzip2Block = 2 << 20
)

// bzip2Block is a block that is being decompressed.
type bzip2Block struct {
	bit    int64  // where it begins, in bits of the file
	stored []byte // from the byte on that holds this bit
	bits   int    // how many
	data   []byte
	err    error // behind the data
	done   chan struct{}
}

// bzip2Reader decompresses on several cores.
type bzip2Reader struct {
	onBlock onBlock          // may be nil
	blocks  chan *bzip2Block // in order
	data    []byte           // of the current block
	offset  int64
	err     error
	stop    chan struct{}
	stopped chan struct{}
}

// newBzip2Reader decompresses a file, or goes on from the block at bit, if that is
// not 0: src then begins with the byte that holds it.
func newBzip2Reader(src io.Reader, bit int64, workers int, onBlock onBlock) *bzip2Reader {
	r := &bzip2Reader{onBlock: onBlock, blocks: make(chan *bzip2Block, workers-1), stop: make(chan struct{}), stopped: make(chan struct{})}
	go r.scan(&bzip2Scanner{src: bufio.NewReaderSize(src, 64<<10), base: bit / 8, expected: bit, resumed: bit > 0})
	return r
}

func (r *bzip2Reader) scan(scanner *bzip2Scanner) {
	defer close(r.stopped)
	for {
		block := &bzip2Block{done: make(chan struct{})}
		scanner.next(block)
		ends := block.err != nil
		go block.decompress()
		select {
		case r.blocks <- block:
		case <-r.stop:
			return
		}
		if ends {
			return
		}
	}
}

// Read implements io.Reader.
func (r *bzip2Reader) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		block := <-r.blocks
		<-block.done
		if r.onBlock != nil && len(block.data) > 0 {
			r.onBlock(r.offset, block.bit, nil)
		}
		r.data, r.err = block.data, block.err
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	r.offset += int64(n)
	return n, nil
}

// Close waits until nothing reads src any more.
func (r *bzip2Reader) Close() error {
	close(r.stop)
	<-r.stopped
	return nil
}

// decompress makes a block a file of its own, with a header and an end.
func (b *bzip2Block) decompress() {
	defer close(b.done)
	if b.bits == 0 {
		return
	}
	checksum := bitsAt(b.stored, int(b.bit&7)+bzip2MagicBits, 32)
	file := &bitWriter{data: append(make([]byte, 0, len(b.stored)+32), bzip2Header...)}
	for i := 0; i < b.bits; i += 32 {
		count := min(32, b.bits-i)
		file.write(bitsAt(b.stored, int(b.bit&7)+i, count), count)
	}
	file.write(bzip2EndMagic>>16, 32)
	file.write(bzip2EndMagic&0xffff, 16)
	file.write(checksum, 32)
	file.write(0, 7)
	data, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(file.data)))
	b.data = data
	if err != nil {
		b.err = &stream.DecompressionError{Compression: stream.Bzip2, Err: err}
	}
}

// bitsAt gives up to 32 bits, the highest first.
func bitsAt(data []byte, bit, count int) uint64 {
	var bytes [8]byte
	copy(bytes[:], data[bit/8:])
	return binary.BigEndian.Uint64(bytes[:]) << (bit & 7) >> (64 - count)
}

// bitWriter appends bits, the highest first.
type bitWriter struct {
	data  []byte
	hold  uint64
	count int
}

func (w *bitWriter) write(bits uint64, count int) {
	w.hold = w.hold<<count | bits
	for w.count += count; w.count >= 8; w.count -= 8 {
		w.data = append(w.data, byte(w.hold>>(w.count-8)))
	}
}

// bzip2Scanner cuts a file into blocks at the magics.
type bzip2Scanner struct {
	src      *bufio.Reader
	kept     []byte // what has been read since base
	base     int64  // in bytes of the file
	latest   uint64 // the last eight bytes
	expected int64  // the bit where the first magic is; 0 where a header is
	magic    uint64 // the last one, 0 before the first
	bit      int64  // where it begins
	files    int    // of which the header has been read
	checksum uint32 // of the blocks of this file
	resumed  bool   // this file's header has not been read: its checksum is not known
}

var errBzip2 = errors.New("no block where one should begin")

// next finds a block and where it ends. The error is what comes behind it, or
// instead of it.
func (s *bzip2Scanner) next(block *bzip2Block) {
	for s.magic != bzip2BlockMagic {
		if block.err = s.beginFile(); block.err != nil {
			return
		}
	}
	begin := s.bit
	if block.err = s.findMagic(); block.err != nil {
		return
	}
	first, end := begin/8-s.base, (s.bit+7)/8-s.base
	block.bit, block.bits, block.stored = begin, int(s.bit-begin), bytes.Clone(s.kept[first:end])
	if block.bits < bzip2MagicBits+32 {
		block.bits, block.err = 0, &stream.DecompressionError{Compression: stream.Bzip2, Err: errBzip2}
		return
	}
	s.checksum = (s.checksum<<1 | s.checksum>>31) ^ uint32(bitsAt(block.stored, int(begin&7)+bzip2MagicBits, 32))
	s.drop(s.bit / 8)
	if s.magic == bzip2EndMagic {
		block.err = s.endFile()
	}
}

// beginFile reads a header, unless there was one, and the magic behind it.
func (s *bzip2Scanner) beginFile() error {
	if s.expected == 0 {
		if err := s.readHeader(); err != nil {
			return err
		}
	}
	if err := s.findMagic(); err != nil {
		return err
	}
	if s.bit != s.expected {
		return &stream.DecompressionError{Compression: stream.Bzip2, Err: errBzip2}
	}
	if s.magic == bzip2EndMagic { // an empty file
		return s.endFile()
	}
	return nil
}

func (s *bzip2Scanner) readHeader() error {
	head, err := s.src.Peek(len(bzip2Header))
	switch {
	case len(head) == 0 && s.files > 0:
		return err
	case len(head) < len(bzip2Header) && err != nil && err != io.EOF:
		return err
	case len(head) < len(bzip2Header) || string(head[:3]) != "BZh" || head[3] < '1' || head[3] > '9':
		return s.trailing(bytes.Clone(head))
	}
	_, _ = s.src.Discard(len(head))
	s.base += int64(len(head))
	s.expected = s.base * 8
	s.files++
	s.checksum, s.resumed = 0, false
	return nil
}

// trailing says what follows the last file, unless it is zeros.
func (s *bzip2Scanner) trailing(head []byte) error {
	for {
		b, err := s.src.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			return &stream.TrailingError{Compression: stream.Bzip2, Head: head}
		}
	}
}

// endFile checks the checksum behind the end magic and goes on to whole bytes.
func (s *bzip2Scanner) endFile() error {
	s.drop(s.bit / 8)
	for range 4 {
		if err := s.readByte(); err != nil {
			return err
		}
	}
	checksum := uint32(bitsAt(s.kept, int(s.bit&7)+bzip2MagicBits, 32))
	if checksum != s.checksum && !s.resumed {
		return &stream.DecompressionError{Compression: stream.Bzip2, Err: errors.New("wrong checksum")}
	}
	s.drop(s.base + int64(len(s.kept)))
	s.magic, s.expected, s.latest = 0, 0, 0
	return nil
}

// drop forgets what is kept before a byte of the file.
func (s *bzip2Scanner) drop(to int64) {
	n := copy(s.kept, s.kept[to-s.base:])
	s.kept = s.kept[:n]
	s.base = to
}

func (s *bzip2Scanner) readByte() error {
	b, err := s.src.ReadByte()
	if err == io.EOF {
		return &stream.DecompressionError{Compression: stream.Bzip2, Err: io.ErrUnexpectedEOF}
	}
	if err != nil {
		return err
	}
	s.kept = append(s.kept, b)
	s.latest = s.latest<<8 | uint64(b)
	return nil
}

// findMagic reads on to the end of the next magic.
func (s *bzip2Scanner) findMagic() error {
	for {
		if err := s.readByte(); err != nil {
			return err
		}
		for shift := range 8 {
			found := s.latest >> shift & (1<<bzip2MagicBits - 1)
			if found != bzip2BlockMagic && found != bzip2EndMagic {
				continue
			}
			s.magic = found
			s.bit = (s.base+int64(len(s.kept)))*8 - int64(shift) - bzip2MagicBits
			return nil
		}
		if len(s.kept) > maxBzip2Block {
			return &stream.DecompressionError{Compression: stream.Bzip2, Err: errBzip2}
		}
	}
}
