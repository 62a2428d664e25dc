package stream

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// WriterOptions chooses the output of a [Writer]. The zero value writes an
// uncompressed pcap with nanoseconds.
type WriterOptions struct {
	// PcapNG selects pcapng with one interface for each link type, and with the
	// directions of packets. Otherwise the Writer writes pcap with nanoseconds. Both
	// are in the byte order of this machine.
	PcapNG bool
	// Compression compresses the output: Uncompressed, Gzip, LZ4 or Zstd.
	Compression Compression
	// LinkType is the link type in the header of a pcap without packets.
	LinkType LinkType
	// Snaplen is the snaplen in the header, in bytes. 0 means MaxCaptureLength.
	// The Writer does not cut packets to it.
	Snaplen uint32
	// Background compresses and writes in a goroutine, while the caller continues
	// with the next packets. A later call then returns the error of an earlier
	// write. Close ends the goroutine.
	Background bool
	// Written is called after a block of packets has been written to dst, with the
	// number of packets and the bytes of their Data: the compressor holds none of
	// them any more. It may be nil. With Background, the goroutine calls it.
	Written func(packets, bytes int64)
}

// endOfPcap is the first time that a pcap cannot hold: its seconds are 32 bits.
const endOfPcap = 1e9 << 32

// Holds reports whether the output can hold a time, in nanoseconds since the Unix
// epoch. A pcap holds 1970 to 2106, since its seconds are unsigned and 32 bits
// wide. A pcapng holds all times from 1970 on.
func (o *WriterOptions) Holds(time int64) bool {
	return time >= 0 && (o.PcapNG || time < endOfPcap)
}

// writeBlockSize is the number of bytes that a Writer collects before it writes.
const writeBlockSize = 256 << 10

// Writer writes packets as one section, in the order in which it gets them. It is
// not safe for concurrent use.
type Writer struct {
	options    WriterOptions
	dst        io.Writer  // the file, or what compresses into it
	compressor compressor // nil for plain output
	block      []byte
	packets    int64             // in the block
	bytes      int64             // of their data
	header     int               // bytes of the block before the first packet of a pcap
	background *backgroundWriter // from the first block on, with options.Background
	started    bool
	linkType   LinkType   // of a pcap
	interfaces []LinkType // of a pcapng, in the order of their numbers
	err        error      // the first; nothing is written after it
}

// compressor is what gzip, lz4 and zstd writers have in common.
type compressor interface {
	io.WriteCloser
	Flush() error
}

// NewWriter returns a Writer to dst, which it never closes. It writes the file
// header with the first packets, or at Close. A compression that cannot be written
// is an error.
func NewWriter(dst io.Writer, options WriterOptions) (*Writer, error) {
	if options.Snaplen == 0 {
		options.Snaplen = MaxCaptureLength
	}
	compressor, err := newCompressor(dst, options.Compression)
	if err != nil {
		return nil, err
	}
	w := &Writer{options: options, dst: dst, compressor: compressor, block: make([]byte, 0, writeBlockSize)}
	if compressor != nil {
		w.dst = compressor
	}
	return w, nil
}

// newCompressor returns nil for Uncompressed. It uses the fastest levels, because the stream
// has to keep up with a network.
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

// Write appends packets to the section. It copies their Data, so that the caller
// may reuse it, and does not allocate per packet.
//
// In a pcap, a packet with another link type than the first is a [*LinkTypeError]. A packet
// whose time the output cannot hold is a [*TimeError]: see [WriterOptions.Holds]. The packets
// before such a packet are written. After an error, the Writer writes nothing more, and every
// call returns that error.
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
		if err := w.refuses(packet); err != nil {
			w.writeBlock()
			w.err = cmp.Or(w.err, err)
		}
		if w.err != nil {
			return w.err
		}
		if w.options.PcapNG {
			w.appendEnhancedPacket(packet)
		} else {
			w.appendRecord(packet)
		}
		w.packets++
		w.bytes += int64(len(packet.Data))
	}
	return nil
}

// refuses returns the reason why a packet cannot be written, or nil.
func (w *Writer) refuses(packet *Packet) error {
	switch {
	case !w.options.Holds(packet.Time):
		return &TimeError{packet.Time, w.options.PcapNG}
	case packet.LinkType != w.linkType && !w.options.PcapNG:
		return &LinkTypeError{w.linkType, packet.LinkType}
	}
	return nil
}

// maxBlockOverhead is the maximum number of bytes that a packet takes besides its data: an
// interface description block, the header, options and end of an enhanced packet block, and
// padding.
const maxBlockOverhead = 92

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
	w.header = len(w.block)
}

// appendRecord writes a packet as a pcap record.
func (w *Writer) appendRecord(packet *Packet) {
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
	id := w.interfaceID(packet.LinkType)
	order := binary.NativeEndian
	padding := -len(packet.Data) & 3
	length := uint32(32 + len(packet.Data) + padding)
	if packet.Direction != DirectionUnknown {
		length += directionOptionLength
	}
	for _, field := range [...]uint32{
		blockEnhancedPacket, length, id, uint32(uint64(packet.Time) >> 32), uint32(packet.Time),
		uint32(len(packet.Data)), packet.WireLength,
	} {
		w.block = order.AppendUint32(w.block, field)
	}
	w.block = append(w.block, packet.Data...)
	w.block = append(w.block, make([]byte, padding)...)
	if packet.Direction != DirectionUnknown {
		w.appendDirection(packet.Direction)
	}
	w.block = order.AppendUint32(w.block, length)
}

// directionOptionLength is the length of epb_flags and opt_endofopt, in bytes.
const directionOptionLength = 12

// appendDirection writes the options of a packet block that give a direction.
func (w *Writer) appendDirection(direction Direction) {
	order := binary.NativeEndian
	w.block = order.AppendUint16(w.block, optionPacketFlags)
	w.block = order.AppendUint16(w.block, 4)
	w.block = order.AppendUint32(w.block, uint32(direction))
	w.block = order.AppendUint32(w.block, optionEnd)
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

// writeBlock writes the block, or gives it to the goroutine that writes.
func (w *Writer) writeBlock() {
	if w.err == nil && len(w.block) > 0 {
		full := fullBlock{w.block, w.packets, w.bytes, w.header}
		if w.options.Background {
			w.block, w.err = w.exchange(full)
		} else {
			w.err = w.put(full)
		}
	}
	w.block, w.packets, w.bytes, w.header = w.block[:0], 0, 0, 0
}

// fullBlock is a block that a Writer has filled.
type fullBlock struct {
	data           []byte
	packets, bytes int64
	header         int // bytes before the first packet of a pcap
}

// put writes a block. It also flushes the compressor, so that a packet that is counted as
// written has left the process. This makes the output longer by less than 0.1 %.
func (w *Writer) put(block fullBlock) error {
	n, err := w.dst.Write(block.data)
	if err == nil && w.compressor != nil {
		err = w.compressor.Flush()
	}
	if err != nil && w.compressor == nil && w.options.Written != nil {
		w.options.Written(w.countWhole(block, n)) // a full disk takes a part of the block
	}
	if err == nil && w.options.Written != nil {
		w.options.Written(block.packets, block.bytes)
	}
	return err
}

// countWhole counts the packets in the first bytes of an uncompressed block, and the bytes
// of their Data.
func (w *Writer) countWhole(block fullBlock, written int) (packets, bytes int64) {
	order := binary.NativeEndian
	data := block.data[min(block.header, written):written]
	for len(data) >= recordHeaderLength {
		captured := int64(order.Uint32(data[8:]))
		length, isPacket := recordHeaderLength+captured, true
		if w.options.PcapNG {
			length, isPacket = int64(order.Uint32(data[4:])), order.Uint32(data) == blockEnhancedPacket
		}
		if length > int64(len(data)) {
			break
		}
		if isPacket && w.options.PcapNG {
			captured = int64(order.Uint32(data[20:]))
		}
		if isPacket {
			packets, bytes = packets+1, bytes+captured
		}
		data = data[length:]
	}
	return packets, bytes
}

// backgroundBlocks is the number of blocks of a backgroundWriter. With three, writing a file
// takes three quarters of the time. One saves nothing, because each side waits for the other,
// and five save no more than three.
const backgroundBlocks = 3

// backgroundWriter writes blocks while the next one is filled.
type backgroundWriter struct {
	full  chan fullBlock
	empty chan []byte
	err   atomic.Pointer[error] // the first; nothing is written after it
	ended chan struct{}
}

func (w *Writer) newBackgroundWriter() *backgroundWriter {
	b := &backgroundWriter{
		full: make(chan fullBlock, backgroundBlocks), empty: make(chan []byte, backgroundBlocks+1), ended: make(chan struct{}),
	}
	for range backgroundBlocks {
		b.empty <- make([]byte, 0, writeBlockSize)
	}
	go func() {
		defer close(b.ended)
		for block := range b.full {
			if b.failed() == nil {
				if err := w.put(block); err != nil {
					b.err.Store(&err)
				}
			}
			b.empty <- block.data[:0]
		}
	}()
	return b
}

// exchange takes a full block and returns an empty one, or the error of an earlier block.
func (w *Writer) exchange(block fullBlock) (empty []byte, err error) {
	if w.background == nil {
		w.background = w.newBackgroundWriter()
	}
	w.background.full <- block
	return <-w.background.empty, w.background.failed()
}

func (b *backgroundWriter) failed() error {
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

// close waits until everything is written.
func (b *backgroundWriter) close() error {
	close(b.full)
	<-b.ended
	return b.failed()
}

// Flush writes everything that the Writer and the compressor hold to dst. Call it
// before waiting for more packets, see [Reader.Buffered]. With Background, it does
// not wait for the goroutine.
func (w *Writer) Flush() error {
	w.writeBlock()
	return w.err
}

// HasPackets reports whether Write got a packet. It is meaningful until Close.
func (w *Writer) HasPackets() bool { return w.started }

// Close writes the header if there were no packets, writes everything that is
// held, and ends the compressed data. It does not close dst. It returns the first
// error of the Writer.
func (w *Writer) Close() error {
	if w.err == nil && !w.started {
		w.start(w.options.LinkType)
	}
	w.writeBlock()
	if w.background != nil {
		w.err = cmp.Or(w.err, w.background.close())
		w.background = nil
	}
	if w.compressor != nil && w.err == nil {
		w.err = w.compressor.Close()
	}
	return w.err
}

// TimeError reports a packet whose time the output cannot hold: see [WriterOptions.Holds].
type TimeError struct {
	Time   int64 // nanoseconds since the Unix epoch
	PcapNG bool  // the output is a pcapng, else a pcap
}

// Error implements error.
func (e *TimeError) Error() string {
	limits := "a pcap cannot hold times outside 1970 to 2106"
	if e.PcapNG {
		limits = "a pcapng cannot hold times before 1970"
	}
	return fmt.Sprintf("packet of %s: %s", time.Unix(0, e.Time).UTC().Format(time.RFC3339Nano), limits)
}

// LinkTypeError reports packets of two link types for one pcap, which can hold only
// one.
type LinkTypeError struct{ First, Other LinkType }

// Error names both link types.
func (e *LinkTypeError) Error() string {
	return fmt.Sprintf("link type %s after %s: a pcap holds only one link type", e.Other, e.First)
}
