package cli

import (
	"fmt"
	"math"
	"sync/atomic"

	"pcap-replay/stream"
)

// skipReason is why a packet is not sent.
type skipReason int

const (
	notSkipped skipReason = iota
	skippedOversize
	skippedShort
	skippedLinkType
	skipReasons
)

func (r skipReason) String() string {
	return [...]string{"", "oversize", "short", "link type"}[r]
}

// What --oversize and --short may be, the default first.
var (
	oversizePolicies = []string{"error", "skip", "truncate"}
	shortPolicies    = []string{"pad", "asis", "skip"}
)

// framer makes of packets what the way out takes: frames of its link type and
// within its lengths.
type framer struct {
	accepts  func(stream.LinkType) error
	maximum  func(frame []byte) int // length of a frame that begins so
	minimum  int
	oversize string
	short    string

	link    stream.LinkType // accepted last
	hasLink bool
	frame   [1]stream.Packet // made of a packet
	scratch []byte

	padded, truncated atomic.Int64
}

// newFileFramer takes everything, as long as it is of one link type and fits into
// the ring.
func newFileFramer(maximum int) *framer {
	f := &framer{short: "asis", oversize: "error", maximum: func([]byte) int { return maximum }}
	f.accepts = func(link stream.LinkType) error {
		if f.hasLink && link != f.link {
			return &stream.LinkTypeError{First: f.link, Other: link}
		}
		return nil
	}
	return f
}

// check says why frames of a link type cannot be sent. The last one that can is
// remembered.
func (f *framer) check(link stream.LinkType) error {
	if link == f.link && f.hasLink {
		return nil
	}
	if err := f.accepts(link); err != nil {
		return err
	}
	f.link, f.hasLink = link, true
	return nil
}

// frames gives the frames to send for the one packet in packets: mostly packets
// itself. They are valid until the next call.
func (f *framer) frames(packets []stream.Packet) ([]stream.Packet, skipReason) {
	packet := &packets[0]
	length := len(packet.Data)
	if length >= f.minimum && length <= f.maximum(packet.Data) && uint32(length) >= packet.WireLength && packet.LinkType == f.link {
		return packets, notSkipped
	}
	if f.check(packet.LinkType) != nil {
		return nil, skippedLinkType
	}
	f.frame[0] = *packet
	if reason := f.lengthen(&f.frame[0]); reason != notSkipped {
		return nil, reason
	}
	if reason := f.shorten(&f.frame[0]); reason != notSkipped {
		return nil, reason
	}
	return f.frame[:], notSkipped
}

// lengthen treats a frame of which the capture has kept a part only.
func (f *framer) lengthen(frame *stream.Packet) skipReason {
	wanted := int(min(frame.WireLength, math.MaxInt32))
	switch {
	case len(frame.Data) < f.minimum:
		return skippedShort
	case wanted <= len(frame.Data) || f.short == "asis":
		return notSkipped
	case f.short == "skip":
		return skippedShort
	}
	if longest := f.maximum(frame.Data); wanted > longest {
		if f.oversize != "truncate" {
			return skippedOversize
		}
		wanted = max(longest, len(frame.Data))
	}
	f.scratch = append(f.scratch[:0], frame.Data...)
	f.scratch = append(f.scratch, make([]byte, wanted-len(frame.Data))...)
	frame.Data = f.scratch
	f.padded.Add(1)
	return notSkipped
}

// shorten treats a frame that is too long.
func (f *framer) shorten(frame *stream.Packet) skipReason {
	longest := f.maximum(frame.Data)
	switch {
	case len(frame.Data) <= longest:
		return notSkipped
	case f.oversize != "truncate":
		return skippedOversize
	}
	frame.Data = frame.Data[:longest]
	f.truncated.Add(1)
	return notSkipped
}

// why says what is wrong with a packet that frames has skipped.
func (f *framer) why(packet *stream.Packet, reason skipReason) string {
	if reason == skippedLinkType {
		return f.accepts(packet.LinkType).Error()
	}
	return fmt.Sprintf("%d bytes, but at most %d can be sent", max(len(packet.Data), int(packet.WireLength)), f.maximum(packet.Data))
}
