package stream

import "time"

// Packet is one captured frame.
type Packet struct {
	// Time is the packet's timestamp in nanoseconds since the Unix epoch, UTC.
	Time int64
	// Data holds the captured bytes. The Data of a packet from a [Reader] points
	// into the reader's memory and is valid until the next call of [Reader.Read].
	// Copy it to keep it longer.
	Data []byte
	// WireLength is the length of the frame on the wire in bytes. It is more
	// than len(Data) if the capture kept only the start of the frame.
	WireLength uint32
	// LinkType is the type of the link-layer header at the start of Data.
	LinkType LinkType
	// Untimed marks a packet without a timestamp in the file: one in a simple
	// packet block (draft-ietf-opsawg-pcapng, section 4.4). Its Time is that of a
	// packet near it.
	Untimed bool
	// Direction says whether the capturing machine received or sent the packet.
	Direction Direction
}

// Direction says whether the capturing machine received or sent a packet. Only pcapng has
// it, as an option of a packet block.
type Direction uint8

// The directions, as in the flags word of a packet block: draft-ietf-opsawg-pcapng, section
// 4.3.1.
const (
	DirectionUnknown Direction = 0
	Inbound          Direction = 1
	Outbound         Direction = 2
)

// Timestamp returns Time as a time.Time in UTC.
func (p *Packet) Timestamp() time.Time { return time.Unix(0, p.Time).UTC() }

// MaxCaptureLength is the largest captured length of most link types, in bytes.
// It is libpcap's MAXIMUM_SNAPLEN. [LinkType.MaxCaptureLength] has the exceptions.
const MaxCaptureLength = 256 << 10

// cutFCS takes the frame check sequence, of so many bytes, off the packet. A capture that
// kept only the start of the frame holds a part of it at most.
func (p *Packet) cutFCS(length uint32) {
	length = min(length, p.WireLength)
	if captured := uint32(len(p.Data)); captured <= p.WireLength {
		captured = min(captured, p.WireLength-length)
		p.Data = p.Data[:captured:captured]
	}
	p.WireLength -= length
}
