package stream

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// WriterOptions says what a Writer makes.
type WriterOptions struct {
	// PcapNG writes pcapng with one interface for each link type, instead of
	// pcap with nanoseconds in this machine's byte order.
	PcapNG bool
	// Compression wraps the stream: Uncompressed, Gzip, LZ4 or Zstd.
	Compression Compression
	// LinkType stands in the header of a pcap without packets.
	LinkType LinkType
	// Snaplen stands in the header, in bytes; 0 means MaxCaptureLength.
	Snaplen uint32
}

// endOfPcap is the first time that a pcap cannot hold: its seconds are 32 bits.
const endOfPcap = 1e9 << 32

// Holds says whether a packet may have such a time: from 1970 to 2106 in a pcap,
// from 1970 on in a pcapng.
func (o *WriterOptions) Holds(time int64) bool {
	return time >= 0 && (o.PcapNG || time < endOfPcap)
}

// writeBlockSize is how much a Writer gathers before it writes, in bytes.
const writeBlockSize = 256 << 10

// Writer writes packets as one section. It is not safe for concurrent use.
type Writer struct {
	options    WriterOptions
	dst        io.Writer  // the file, or what compresses into it
	compressor compressor // nil for plain output
	block      []byte
	started    bool
	linkType   LinkType   // of a pcap
	interfaces []LinkType // of a pcapng, in the order of their numbers
	err        error      // the first; nothing is written behind it
}

// compressor is what gzip, lz4 and zstd writers have in common.
type compressor interface {
	io.WriteCloser
	Flush() error
}

// NewWriter writes to dst, which it never closes. The header goes out with the
// first packet, or with Close.
func NewWriter(dst io.Writer, options WriterOptions) *Writer {
	if options.Snaplen == 0 {
		options.Snaplen = MaxCaptureLength
	}
	w := &Writer{options: options, dst: dst, block: make([]byte, 0, writeBlockSize)}
	w.compressor, w.err = newCompressor(dst, options.Compression)
	if w.compressor != nil {
		w.dst = w.compressor
	}
	return w
}

// newCompressor gives nil for Uncompressed. All levels are fast ones: the stream
// is to keep up with a network.
func newCompressor(dst io.Writer, compression Compression) (compressor, error) {
	switch compression {
	case Uncompressed:
		return nil, nil
	case Gzip:
		return gzip.NewWriterLevel(dst, gzip.BestSpeed)
	case LZ4:
		w := lz4.NewWriter(dst)
		return w, w.Apply(lz4.BlockSizeOption(lz4.Block256Kb))
	case Zstd:
		return zstd.NewWriter(dst, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	}
	return nil, fmt.Errorf("cannot write %s", compression)
}

// Write appends packets to the section, copying their data. One of another link
// type than the first is a [*LinkTypeError], unless options.PcapNG is set, and one
// of a time that options do not hold is an error; the packets before it are written.
func (w *Writer) Write(packets []Packet) error {
	if w.err != nil || len(packets) == 0 {
		return w.err
	}
	if !w.started {
		w.start(packets[0].LinkType)
	}
	for i := range packets {
		packet := &packets[i]
		if len(w.block)+len(packet.Data)+maxBlockOverhead > cap(w.block) {
			w.writeBlock()
		}
		if w.options.PcapNG {
			w.appendEnhancedPacket(packet)
		} else {
			w.appendRecord(packet)
		}
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

// maxBlockOverhead is what a packet takes besides its data at most: an interface
// description block, the header and the end of an enhanced packet block, padding.
const maxBlockOverhead = 80

// start writes the file header.
func (w *Writer) start(linkType LinkType) {
	w.started = true
	w.linkType = linkType
	order := binary.NativeEndian
	if w.options.PcapNG {
		for _, field := range []uint32{magicSectionBlock, minSectionBlockLength, magicByteOrder} {
			w.block = order.AppendUint32(w.block, field)
		}
		w.block = order.AppendUint16(w.block, 1) // version 1.0
		w.block = order.AppendUint16(w.block, 0)
		w.block = order.AppendUint64(w.block, math.MaxUint64) // of unknown length
		w.block = order.AppendUint32(w.block, minSectionBlockLength)
		return
	}
	w.block = order.AppendUint32(w.block, magicNanoseconds)
	w.block = order.AppendUint16(w.block, 2) // version 2.4
	w.block = order.AppendUint16(w.block, 4)
	for _, field := range []uint32{0, 0, w.options.Snaplen, uint32(linkType)} {
		w.block = order.AppendUint32(w.block, field)
	}
}

// appendRecord writes a packet as a pcap record.
func (w *Writer) appendRecord(packet *Packet) {
	if packet.LinkType != w.linkType {
		w.err = &LinkTypeError{w.linkType, packet.LinkType}
		return
	}
	if !w.options.Holds(packet.Time) {
		w.err = fmt.Errorf("timestamp %d ns: a pcap holds 1970 to 2106", packet.Time)
		return
	}
	seconds := packet.Time / 1e9
	order := binary.NativeEndian
	w.block = order.AppendUint32(w.block, uint32(seconds))
	w.block = order.AppendUint32(w.block, uint32(packet.Time-seconds*1e9))
	w.block = order.AppendUint32(w.block, uint32(len(packet.Data)))
	w.block = order.AppendUint32(w.block, packet.WireLength)
	w.block = append(w.block, packet.Data...)
}

// appendEnhancedPacket writes a packet as a pcapng block, after the description
// of its interface if it is the first one of its link type.
func (w *Writer) appendEnhancedPacket(packet *Packet) {
	if !w.options.Holds(packet.Time) {
		w.err = fmt.Errorf("timestamp %d ns: a pcapng begins in 1970", packet.Time)
		return
	}
	id := w.interfaceID(packet.LinkType)
	order := binary.NativeEndian
	padding := -len(packet.Data) & 3
	length := uint32(32 + len(packet.Data) + padding)
	for _, field := range [...]uint32{
		blockEnhancedPacket, length, id, uint32(uint64(packet.Time) >> 32), uint32(packet.Time),
		uint32(len(packet.Data)), packet.WireLength,
	} {
		w.block = order.AppendUint32(w.block, field)
	}
	w.block = append(w.block, packet.Data...)
	w.block = append(w.block, make([]byte, padding)...)
	w.block = order.AppendUint32(w.block, length)
}

func (w *Writer) interfaceID(linkType LinkType) uint32 {
	for id, known := range w.interfaces {
		if known == linkType {
			return uint32(id)
		}
	}
	w.interfaces = append(w.interfaces, linkType)
	order := binary.NativeEndian
	const length = 32
	w.block = order.AppendUint32(w.block, blockInterface)
	w.block = order.AppendUint32(w.block, length)
	w.block = order.AppendUint16(w.block, uint16(linkType))
	w.block = order.AppendUint16(w.block, 0)
	w.block = order.AppendUint32(w.block, max(w.options.Snaplen, linkType.MaxCaptureLength()))
	w.block = order.AppendUint16(w.block, optionTimeResolution)
	w.block = order.AppendUint16(w.block, 1)
	w.block = append(w.block, 9, 0, 0, 0) // nanoseconds, padded
	w.block = order.AppendUint32(w.block, optionEnd)
	w.block = order.AppendUint32(w.block, length)
	return uint32(len(w.interfaces) - 1)
}

// writeBlock hands the block on.
func (w *Writer) writeBlock() {
	if w.err == nil && len(w.block) > 0 {
		_, w.err = w.dst.Write(w.block)
	}
	w.block = w.block[:0]
}

// Flush hands everything written so far to dst, compressed frames included.
// Call it when the reader of the packets would wait: see [Reader.Buffered].
func (w *Writer) Flush() error {
	if w.err == nil && len(w.block) > 0 {
		w.writeBlock()
		if w.compressor != nil && w.err == nil {
			w.err = w.compressor.Flush()
		}
	}
	return w.err
}

// Close writes the header if no packet did, ends the compressed stream and
// flushes. The first error of the Writer is returned here again.
func (w *Writer) Close() error {
	if w.err == nil && !w.started {
		w.start(w.options.LinkType)
	}
	w.writeBlock()
	if w.compressor != nil && w.err == nil {
		w.err = w.compressor.Close()
	}
	return w.err
}

// LinkTypeError says that a pcap cannot hold packets of two link types.
type LinkTypeError struct{ First, Other LinkType }

func (e *LinkTypeError) Error() string {
	return fmt.Sprintf("link type %s after %s: one pcap holds one link type", e.Other, e.First)
}
