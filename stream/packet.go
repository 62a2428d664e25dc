package stream

// Packet is one captured frame.
type Packet struct {
	// Time is the packet's timestamp in nanoseconds since the Unix epoch, UTC.
	Time int64
	// Data holds the captured bytes. A packet that came from a Reader points
	// into the Reader's block: it is valid until the next call of Read.
	Data []byte
	// WireLength is the length of the frame on the wire in bytes. It is more
	// than len(Data) where the capture was cut by a snaplen.
	WireLength uint32
	// LinkType says how Data begins.
	LinkType LinkType
	// Untimed marks a packet whose format keeps no timestamp for it (the simple
	// packet block of pcapng). Its Time is that of the packet before it.
	Untimed bool
}

// MaxCaptureLength is the largest captured length of a common link type in
// bytes: libpcap's MAXIMUM_SNAPLEN. See [LinkType.MaxCaptureLength].
const MaxCaptureLength = 256 << 10
