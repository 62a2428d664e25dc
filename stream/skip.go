package stream

import (
	"fmt"
	"io"

	"pcap-replay/internal/bunzip2"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/unframe"
	"pcap-replay/internal/unxz"
)

// The number of compressed bytes that are kept to search them for intact data. A decoder that
// reads a wrong length reads intact data as well before it fails.
const (
	maxSearch      = 4<<20 + compressedBlockSize
	maxSearchXZ    = unxz.MaxSearch + compressedBlockSize
	maxSearchBzip2 = bunzip2.MaxSearch + compressedBlockSize
)

// maxSearchFrame is two of the longest pieces of a frame: one with a wrong length, and the
// bytes that the decoder reads as the next one. Most blocks are much shorter.
func maxSearchFrame(f *unframe.Reader) int {
	return min(2*f.MaxPiece+compressedBlockSize, maxSearch)
}

// maxBlockRatio is the highest ratio of all compressions: a block of zstd repeats a byte up
// to 128<<10 times and takes 4 bytes.
const maxBlockRatio = 32 << 10

func (d *decompressor) keepLast(limit int)  { d.rewinder.KeepLast(limit, d.src) }
func (d *decompressor) position() int64     { return d.rewinder.Position(d.src) }
func (d *decompressor) rewind(offset int64) { d.rewinder.Rewind(d.src, offset) }

// search looks for intact data of the same compression after damage.
type search struct {
	*decompressor
	find  func(*search) bool
	isRun bool
	found bool
	// skipped is the number of compressed bytes from the offset from on that are skipped. For
	// gzip it is 0.
	from, skipped int64
	lost          int64 // uncompressed bytes that are skipped, as far as that is known
}

// run moves the source to the next intact data, and reports whether there is any.
func (s *search) run() bool {
	if !s.isRun {
		s.isRun, s.found = true, s.find(s)
	}
	return s.found
}

// String describes how much is skipped, unless the number of lost bytes does.
func (s *search) String() string {
	if s.skipped == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s skipped from offset %d on)", plural.Of(s.skipped, "compressed byte"), s.from)
}

// passed completes s when the source is at intact data. lost is the number of uncompressed
// bytes in between if it is known, and otherwise negative.
func (s *search) passed(lost int64) {
	s.skipped = s.position() - s.from
	if lost <= s.skipped*maxBlockRatio {
		s.lost = max(0, lost)
	}
}

// findAfterDamage goes to what follows the damage that the decoder has found.
func (d *decompressor) findAfterDamage(s *search) bool {
	switch d.compression {
	case Gzip:
		return d.findMember(s)
	case LZ4, Zstd:
		return d.skipFrame(s)
	case XZ:
		return d.skipXZ(s)
	case Bzip2:
		s.from = d.start + d.bzip2.DamagedBlock()
		d.rewind(s.from + 1)
		return d.findBzip2(s)
	}
	return false
}

// findFile goes to the next compressed file, from a file whose header is damaged.
func (d *decompressor) findFile(s *search) bool {
	switch d.compression {
	case Gzip:
		d.gzip.ResetMember(d.src)
		return d.findMember(s)
	case LZ4, Zstd:
		return d.findFrame(s)
	case XZ:
		d.xz.Reset(d.src) // without the header of the stream, its blocks cannot be read
		return d.findXZ(s)
	case Bzip2:
		return d.findBzip2(s)
	}
	return false
}

// findAfterSkippable goes to the frame after a skippable one that is longer than the data.
func (d *decompressor) findAfterSkippable(s *search) bool {
	d.rewind(s.from + 1)
	return (d.compression == LZ4 || d.compression == Zstd) && d.findFrame(s)
}

// findMember goes to the next member of a gzip file.
func (d *decompressor) findMember(s *search) (found bool) {
	if s.lost, found = d.gzip.SkipToMember(); found {
		d.endFile()
	}
	return found
}

// skipFrame goes to the frame after a damaged one. The lengths of blocks lead there, unless
// one of them is damaged.
func (d *decompressor) skipFrame(s *search) bool {
	piece, _ := d.frame.Piece()
	s.from = d.start + piece
	if !d.frame.SkipRest() || !d.isAtNext() {
		_, before := d.frame.Piece()
		d.rewind(d.start + before + 1)
		return d.findFrame(s)
	}
	s.passed(d.missing())
	d.endFile()
	return true
}

// missing is the number of bytes of the current frame that have not been read, or negative
// if that is not known.
func (d *decompressor) missing() int64 {
	if d.frame == nil || d.frame.ContentSize < d.given {
		return -1
	}
	return d.frame.ContentSize - d.given
}

// isAtNext reports whether something that can be read follows a frame.
func (d *decompressor) isAtNext() bool {
	head, _ := d.src.Peek(compressionMagicLength)
	if DetectCompression(head) != d.compression {
		return isFile(head)
	}
	return d.frames().Accepts(d.src)
}

// frames returns the finder of frames like the last one.
func (d *decompressor) frames() *unframe.Finder {
	magic := unframe.Zstd
	if d.compression == LZ4 {
		magic = unframe.LZ4
		if d.isLegacy {
			magic = unframe.LegacyLZ4
		}
	}
	if d.finder == nil || d.finder.Magic() != magic {
		d.closeFinder()
		d.finder = unframe.NewFinder(magic)
	}
	return d.finder
}

func (d *decompressor) closeFinder() {
	if d.finder != nil {
		d.finder.Close()
		d.finder = nil
	}
}

// findFrame looks for a frame that can be decompressed.
func (d *decompressor) findFrame(s *search) bool {
	if !d.frames().Find(d.src, d.position) {
		return false
	}
	s.passed(d.missing())
	d.endFile()
	return true
}

// skipXZ goes to the block or stream after a damaged block.
func (d *decompressor) skipXZ(s *search) bool {
	s.from = d.start + d.xz.DamagedChunk()
	d.rewind(s.from + 1)
	if end, unread, isKnown := d.xz.BlockEnd(); isKnown && d.start+end > s.from {
		_, err := io.CopyN(io.Discard, d.src, d.start+end-d.position())
		if err == nil && d.xz.IsAtNext(d.src) {
			s.passed(unread)
			d.resumeXZ()
			return true
		}
		d.rewind(max(s.from+1, d.position()-unxz.MaxSearch))
	}
	return d.findXZ(s)
}

// findXZ looks for a block of the stream, or for another stream.
func (d *decompressor) findXZ(s *search) bool {
	if !d.xz.FindNext(d.src) {
		return false
	}
	s.passed(-1)
	d.resumeXZ()
	return true
}

func (d *decompressor) resumeXZ() {
	if head, _ := d.src.Peek(compressionMagicLength); DetectCompression(head) == XZ {
		d.endFile()
		return
	}
	d.xz.Resume(d.src, d.position()-d.start)
}

// findBzip2 looks for a block.
func (d *decompressor) findBzip2(s *search) bool {
	start := d.position()
	bit, isFile, found := d.bzip2.FindBlock(d.src)
	if !found {
		return false
	}
	d.rewind(start + bit/8)
	s.passed(-1)
	if isFile {
		d.endFile()
		return true
	}
	d.bzip2.ResumeSingle(d.src, (start-d.start)*8+bit)
	d.decoder = d.bzip2
	return true
}
