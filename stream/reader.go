package stream

import (
	"io"
	"iter"
)

// DefaultBlockSize is how much a Reader asks its source for at a time, in bytes.
const DefaultBlockSize = 256 << 10

// Reader reads the packets of a stream. It is not safe for concurrent use.
type Reader struct{}

// NewReader reads from src in blocks of [DefaultBlockSize].
func NewReader(src io.Reader) *Reader { return NewReaderSize(src, DefaultBlockSize) }

// NewReaderSize reads from src in blocks of about size bytes. A block grows for
// a packet that does not fit, so a small one costs time but no packet.
func NewReaderSize(src io.Reader, size int) *Reader { return nil }

// Open opens a file for reading. Close it after use.
func Open(path string) (*Reader, error) { return nil, nil }

// Read puts the next packets into dst and says how many. It returns as soon as
// it has one packet rather than wait for a full batch, and never mixes sections.
// Packet data is valid until the next call.
//
// The error, which may come beside packets, is [io.EOF] at the end; a [*Damage]
// behind which the next call goes on; one that wraps [ErrNotCapture]; or what
// the source said.
func (r *Reader) Read(dst []Packet) (n int, err error) { return 0, io.EOF }

// Section describes the capture that the packets of the last Read came from. It
// is nil until Read has seen a file header. The Reader replaces it at the next
// section, so a caller may keep it; LinkTypes may still grow meanwhile.
func (r *Reader) Section() *Section { return nil }

// Buffered says whether the next Read can give a packet without asking the
// source, so that a live writer knows when to flush.
func (r *Reader) Buffered() bool { return false }

// Offset is how many bytes of the stream have been consumed, after decompression.
func (r *Reader) Offset() int64 { return 0 }

// Packets gives every packet, and every [*Damage] in its place, until the end or
// an error that cannot be passed. A packet is valid until the loop goes on.
func (r *Reader) Packets() iter.Seq2[*Packet, error] { return nil }

// Close frees what decompression holds, and closes the file of [Open].
func (r *Reader) Close() error { return nil }
