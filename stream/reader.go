package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

const (
	// DefaultBlockSize is the number of bytes that a Reader reads from its source at a time.
	DefaultBlockSize = 256 << 10
	// minBlockSize holds a few headers.
	minBlockSize = 4 << 10
	// maxLayers is the maximum number of compressions of a capture, one inside the other.
	maxLayers = 4
)

// Reader reads the packets of a stream, in the order of the stream. It is not safe
// for concurrent use. Close it after use.
type Reader struct {
	src     io.Reader
	srcErr  error // the error of src, or io.EOF at its end
	closers []io.Closer

	newBlock func(size int) []byte // nil: one block is used again and again

	// block[start:end] has been read from src, but not returned yet. The record before
	// the reading position begins at previous, and stays in the block.
	block          []byte
	start, end     int
	previous       int
	base           int64 // offset of block[0] in the stream
	trusted        int64 // odd records up to this offset have been checked and are intact
	previousOffset int64 // of the record before the damage that was found last
	layers         int   // of compression, one inside the other
	layersAt       int64 // offset where the first of them begins
	decompressing  *decompressor

	section   *Section
	inSection bool
	sections  int
	linkTypes []LinkType // of all sections
	// linkTypeSeenIn has the last section of each link type. It makes the search fast: a
	// capture may describe interfaces of all 65,536 link types, any number of times.
	linkTypeSeenIn map[LinkType]int
	format         Format
	layout         pcapLayout         // of a pcap section
	order          binary.ByteOrder   // of a pcapng section
	interfaces     []networkInterface // of a pcapng section
	unknown        []UnknownBlocks    // of all sections

	withoutFCS bool

	records  int64 // returned
	lastTime int64 // of the last packet of this section
	hasTime  bool
	// reference is the time of the last record that was not odd, which records after
	// damage are held against.
	reference    int64
	hasReference bool

	batch       []Packet // for callers that take single packets
	batchUnread []Packet
}

// NewReader returns a Reader of src with blocks of [DefaultBlockSize] bytes. Close
// does not close src.
func NewReader(src io.Reader) *Reader { return NewReaderSize(src, DefaultBlockSize) }

// NewReaderSize is [NewReader] with blocks of size bytes, or of 4 KiB if size is
// less. The block grows for a packet that does not fit into it.
func NewReaderSize(src io.Reader, size int) *Reader {
	return &Reader{src: src, block: make([]byte, max(size, minBlockSize)), trusted: -1, order: binary.LittleEndian, linkTypeSeenIn: map[LinkType]int{}}
}

// NewBlockReader returns a Reader that reads into blocks of the caller, so that
// packets can be kept without copying them. newBlock must return at least size
// bytes. NewBlockReader itself calls it once, and Read calls it when the block is
// full and before it decompresses. The rules are:
//
//  1. A block belongs to the Reader from the return of newBlock to the return of
//     the first Read after another call of newBlock, or until Close. In that time
//     the caller must write only to the Data of packets that Read has returned.
//  2. The Reader copies unread bytes from the previous block into the new one after
//     newBlock has returned, and before Read returns or calls newBlock again. From
//     then on the caller may reuse the previous block.
//  3. The packets of one Read are all in the block that newBlock returned last.
//     Their Data is valid until the caller reuses that block, also after later
//     calls of Read and after Close.
//  4. The Reader appends to a block. It neither overwrites nor reads again the
//     bytes that it has returned as the Data of packets.
func NewBlockReader(src io.Reader, newBlock func(size int) []byte) *Reader {
	return &Reader{src: src, newBlock: newBlock, block: newBlock(minBlockSize), trusted: -1, order: binary.LittleEndian, linkTypeSeenIn: map[LinkType]int{}}
}

// Reset closes r and makes it read src from the start, as a new Reader does, with
// the memory it already has. The Data of all packets that it returned becomes
// invalid.
func (r *Reader) Reset(src io.Reader) {
	_ = r.Close() // Read has returned its errors
	clear(r.linkTypeSeenIn)
	*r = Reader{
		src: src, newBlock: r.newBlock, block: r.block, trusted: -1, order: binary.LittleEndian, linkTypeSeenIn: r.linkTypeSeenIn,
		withoutFCS: r.withoutFCS, batch: r.batch,
	}
}

// LeaveOutFCS makes Read leave out the frame check sequence (FCS) where the capture says that
// frames end in one: in the pcap header, or in pcapng by if_fcslen, or by epb_flags. Data then
// ends before it, and WireLength does not count it. A network card makes a new one
// for every frame that it sends. Call it before the first Read.
func (r *Reader) LeaveOutFCS() { r.withoutFCS = true }

// Open returns a Reader of a file. [Reader.Close] closes the file.
func Open(path string) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := NewReader(file)
	r.closers = append(r.closers, file)
	return r, nil
}

// Read reads the next packets into dst and returns their number. It waits for one
// packet, and does not wait until dst is full. All packets of one Read are of the
// same section. Their Data is valid until the next call, except with
// [NewBlockReader]. The caller may write to it. Read does not allocate per packet.
//
// Read returns either packets or an error, never both: err is nil if n > 0, and n
// is 0 if err is not nil. Only a Read into an empty dst returns 0, nil. The error is
// one of these:
//
//   - [io.EOF] at the end of the stream
//   - a [*Damage], after all packets before it; the next Read continues after it
//   - an error that wraps [ErrNotCapture], if the stream is not a capture
//   - the error of the source
func (r *Reader) Read(dst []Packet) (n int, err error) {
	if len(dst) == 0 {
		return 0, nil
	}
	for {
		switch {
		case !r.inSection:
			err = r.readFileHeader()
		case r.format == FormatPcapNG:
			if n = r.takeBlocks(dst); n == 0 {
				err = r.nextBlock()
			}
		default:
			if n = r.takeRecords(dst); n == 0 {
				err = r.nextRecord()
			}
			if r.withoutFCS && r.layout.fcsLength > 0 {
				for i := range dst[:n] {
					dst[i].cutFCS(r.layout.fcsLength)
				}
			}
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Section returns a snapshot of the section that the packets of the last Read came
// from, and allocates nothing. Its Format is [FormatUnknown] until Read has read a
// file header.
func (r *Reader) Section() Section {
	if r.section == nil {
		return Section{}
	}
	snapshot := *r.section
	snapshot.LinkTypes = slices.Clip(snapshot.LinkTypes) // what the reader appends, it does not see
	return snapshot
}

// Sections returns how many sections have begun, including those without packets.
func (r *Reader) Sections() int { return r.sections }

// LinkTypes returns the link types of all sections so far, each once, in order of
// appearance. The slice is read-only. Later reads do not change it.
func (r *Reader) LinkTypes() []LinkType { return slices.Clip(r.linkTypes) }

// addLinkType records a link type of the current section.
func (r *Reader) addLinkType(linkType LinkType) {
	seenIn := r.linkTypeSeenIn[linkType] // counted from 1
	if seenIn == 0 {
		r.linkTypes = append(r.linkTypes, linkType)
	}
	if seenIn < r.sections {
		r.section.LinkTypes = append(r.section.LinkTypes, linkType)
	}
	r.linkTypeSeenIn[linkType] = r.sections
}

// Offset returns how many bytes of the stream have been consumed, after
// decompression.
func (r *Reader) Offset() int64 { return r.base + int64(r.start) }

// Buffered reports whether the next Read returns a packet without reading from the
// source. If it is false, the next Read may wait: flush what you have written.
func (r *Reader) Buffered() bool {
	if !r.inSection {
		return false
	}
	unread := r.unread()
	if r.format != FormatPcapNG {
		if len(unread) < r.layout.headerLength {
			return false
		}
		h := r.layout.header(unread)
		return uint64(len(unread)) >= uint64(r.layout.headerLength)+uint64(h.captured) &&
			(r.Offset() <= r.trusted || !r.isOdd(h, unread))
	}
	for len(unread) >= minBlockLength {
		kind, length := r.order.Uint32(unread), r.order.Uint32(unread[4:])
		if !isBlockLength(length) || len(unread) < int(length) {
			return false
		}
		if isPacketBlock(kind) {
			return true
		}
		unread = unread[length:]
	}
	return false
}

// Close frees the memory of the decompressors, and closes the file of [Open]. It
// does not close the source of the other constructors.
func (r *Reader) Close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i].Close())
	}
	r.closers = nil
	return errors.Join(errs...)
}

// unread returns the bytes of the block that have not been consumed.
func (r *Reader) unread() []byte { return r.block[r.start:r.end] }

// fill reads until the block has at least want unread bytes, and reports whether it has them.
// Each read takes as much as there is room for. It does not read again once it has enough,
// because a live source would make it wait.
func (r *Reader) fill(want int) bool {
	for fruitless := 0; r.end-r.start < want; {
		if r.srcErr != nil {
			return false
		}
		r.makeRoom()
		n, err := r.src.Read(r.block[r.end:])
		r.end += n
		r.srcErr = err
		if fruitless++; n > 0 {
			fruitless = 0
		} else if fruitless == 100 && err == nil {
			r.srcErr = io.ErrNoProgress
		}
	}
	return true
}

// makeRoom moves the bytes that are still needed to the front of the block. It doubles a block
// that is full. So the block grows with the data that has arrived, and not with a length that
// a damaged header claims.
func (r *Reader) makeRoom() {
	keep := min(r.previous, r.start)
	if r.newBlock != nil {
		r.changeBlock(keep)
		return
	}
	if keep > 0 {
		copy(r.block, r.block[keep:r.end])
		r.base += int64(keep)
		r.start, r.end, r.previous = r.start-keep, r.end-keep, r.previous-keep
	}
	if r.end == len(r.block) {
		grown := make([]byte, 2*len(r.block))
		copy(grown, r.block[:r.end])
		r.block = grown
	}
}

// changeBlock continues in a new block, unless the end of this one has room for more.
func (r *Reader) changeBlock(keep int) {
	if room := len(r.block) - r.end; room > 0 && room >= len(r.block)/4 {
		return
	}
	block := r.newBlock(max(minBlockSize, 2*(r.end-keep))) // it grows for a packet that does not fit
	copy(block, r.block[keep:r.end])
	r.block = block
	r.base += int64(keep)
	r.start, r.end, r.previous = r.start-keep, r.end-keep, r.previous-keep
}

// readFileHeader begins the section at the reading position, decompressing from
// there on if need be.
func (r *Reader) readFileHeader() error {
	for {
		r.fill(compressionMagicLength)
		if DetectCompression(r.unread()) == Uncompressed && !isSkippableFrame(r.unread()) {
			break
		}
		if err := r.decompressRest(); err != nil {
			return err
		}
	}
	gap := r.skipToFile()
	if err := r.beginFile(); err != nil || gap == nil {
		return err
	}
	return gap
}

// beginFile begins a section with the file header at the reading position.
func (r *Reader) beginFile() error {
	switch {
	case !r.fill(1):
		return r.endOfSource()
	case !isFileMagic(r.unread()):
		if len(r.unread()) < 4 {
			return r.badFileHeader(fmt.Sprintf("file header: wanted %d bytes, got %d", fileHeaderLength, len(r.unread())))
		}
		return r.badFileHeader(fmt.Sprintf("begins with %q", r.unread()[:min(8, len(r.unread()))]))
	case !r.fill(fileHeaderLength):
		return r.badFileHeader(fmt.Sprintf("file header: wanted %d bytes, got %d", fileHeaderLength, len(r.unread())))
	}
	if format, _ := fileFormat(binary.LittleEndian.Uint32(r.unread())); format == FormatPcapNG {
		return r.beginSection()
	}
	section, layout, oddity := parseFileHeader(r.unread())
	r.layout = layout
	r.startSection(section)
	offset := r.Offset()
	r.start += fileHeaderLength
	r.previous = r.start
	r.addLinkType(layout.linkType)
	if oddity != "" {
		return &Damage{Offset: offset, Record: r.records + 1, Reason: oddity}
	}
	return nil
}

// startSection makes section the current one.
func (r *Reader) startSection(section Section) {
	section.Index = r.sections
	section.Offset = r.Offset()
	if r.decompressing != nil {
		section.Compression = r.decompressing.compression
	}
	r.sections++
	r.section, r.format, r.inSection = &section, section.Format, true
	r.hasTime, r.hasReference = false, false
	r.previous = r.start
}

// badFileHeader returns the error if no section begins at the reading position. At the start
// of the stream, the stream is not a capture. Later it is damage.
func (r *Reader) badFileHeader(reason string) error {
	if r.sections > 0 {
		r.inSection = true // the search uses the format of the section before
		return r.resynchronise(r.endReason(reason))
	}
	var broken *DecompressionError
	var trailing *TrailingError
	if r.srcErr != nil && r.srcErr != io.EOF && !errors.As(r.srcErr, &broken) && !errors.As(r.srcErr, &trailing) {
		return r.srcErr
	}
	return fmt.Errorf("%w: %s", ErrNotCapture, r.endReason(reason))
}

// endOfSection returns the error for a source that ends before or inside a header of wanted
// bytes.
func (r *Reader) endOfSection(what string, wanted int) error {
	got := len(r.unread())
	if got == 0 {
		return r.endOfSource()
	}
	if r.isAtGap() {
		return r.crossGap(r.damage(fmt.Sprintf("%s: wanted %d bytes, got %d", what, wanted, got)))
	}
	reason := r.endReason(fmt.Sprintf("%s: wanted %d bytes, got %d", what, wanted, got))
	damage := &Damage{Offset: r.Offset(), Lost: int64(got), Record: r.records + 1, Truncated: true, Reason: reason}
	r.start = r.end
	return damage
}

// endReason adds the error of the decompression to the reason, so that one Damage has both.
func (r *Reader) endReason(reason string) string {
	if r.isAtGap() {
		return reason // crossGap adds the rest
	}
	var broken *DecompressionError
	var trailing *TrailingError
	if errors.As(r.srcErr, &broken) || errors.As(r.srcErr, &trailing) {
		reason = r.srcErr.Error() + ": " + reason
		r.srcErr = io.EOF
	}
	return reason
}

// endOfSource returns the error of Read after everything has been returned.
func (r *Reader) endOfSource() error {
	if r.srcErr == io.EOF {
		return io.EOF
	}
	if r.isAtGap() {
		return r.crossGap(r.damage(""))
	}
	var broken *DecompressionError
	var trailing *TrailingError
	if errors.As(r.srcErr, &broken) || errors.As(r.srcErr, &trailing) {
		damage := &Damage{
			Offset: r.Offset(), Record: r.records + 1,
			Truncated: errors.Is(r.srcErr, io.ErrUnexpectedEOF), Reason: r.srcErr.Error(),
		}
		r.srcErr = io.EOF
		if r.sections == 0 {
			return fmt.Errorf("%w: %s", ErrNotCapture, damage.Reason)
		}
		return damage
	}
	return r.srcErr
}

// decompressRest puts a decompressor between the source and the reading position.
func (r *Reader) decompressRest() error {
	if r.layersAt != r.Offset() {
		r.layers, r.layersAt = 0, r.Offset()
	}
	if r.layers++; r.layers > maxLayers {
		return fmt.Errorf("%w: more than %d nested compressions", ErrNotCapture, maxLayers)
	}
	rest := io.Reader(bytes.NewReader(bytes.Clone(r.unread())))
	if r.srcErr == nil {
		rest = io.MultiReader(rest, r.src)
	} else if r.srcErr != io.EOF {
		rest = io.MultiReader(rest, failingReader{r.srcErr})
	}
	if r.newBlock != nil {
		r.block = r.newBlock(minBlockSize)
	}
	r.base, r.start, r.end, r.previous, r.srcErr = r.Offset(), 0, 0, 0, nil
	plain, _, err := Decompress(rest)
	if err != nil {
		r.srcErr = err
		return nil // the reading position is now the end, where this error is reported
	}
	r.decompressing = plain.(*decompressor)
	r.src = plain
	r.closers = append(r.closers, plain)
	return nil
}

// failingReader returns the error of a source that has already ended.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// batchSize is how many packets are read ahead for callers that take single ones.
const batchSize = 64

// Packets returns an iterator over all packets and over every [*Damage] between
// them, in the order of the stream. It ends at the end of the stream, or after an
// error that is not a [*Damage]. A packet is valid until the next iteration.
func (r *Reader) Packets() iter.Seq2[*Packet, error] {
	return func(yield func(*Packet, error) bool) {
		for {
			packet, err := r.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				var damage *Damage
				if !yield(nil, err) || !errors.As(err, &damage) {
					return
				}
				continue
			}
			if !yield(packet, nil) {
				return
			}
		}
	}
}

// next returns one packet, valid until the next call.
func (r *Reader) next() (*Packet, error) {
	if len(r.batchUnread) == 0 {
		if r.batch == nil {
			r.batch = make([]Packet, batchSize)
		}
		n, err := r.Read(r.batch)
		if n == 0 {
			return nil, err
		}
		r.batchUnread = r.batch[:n] // no error comes beside packets
	}
	packet := &r.batchUnread[0]
	r.batchUnread = r.batchUnread[1:]
	return packet, nil
}
