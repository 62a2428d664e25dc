package cli

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"pcap-replay/internal/wire"
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

// What --oversize, --short and --link may be, the default first.
var (
	oversizePolicies = []string{"error", "skip", "truncate", "segment"}
	shortPolicies    = []string{"pad", "asis", "skip"}
	linkPolicies     = []string{"refuse", "ethernet"}
)

// framer makes of packets what the way out takes: frames of its link type and
// within its lengths.
type framer struct {
	accepts   func(stream.LinkType) error
	maximum   func(frame []byte) int // length of a frame that begins so
	minimum   int
	mtu       int
	oversize  string
	short     string
	addHeader bool // make Ethernet frames of others

	link      stream.LinkType // accepted last
	hasLink   bool
	frame     [1]stream.Packet // made of a packet
	withLink  []byte           // its data, with a new header
	padded    []byte           // its data, with padding
	segmenter wire.Segmenter

	paddings, truncations, segmentations atomic.Int64
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

// newWireFramer takes what an interface takes. A VLAN tag may make a frame longer.
func newWireFramer(device *wire.Interface, c *injectConfig) *framer {
	f := &framer{oversize: c.oversize, short: c.short, mtu: device.MTU, minimum: 1}
	longest, longestTagged := device.MaxFrame(), device.MaxFrame()
	if device.HasLinkType && device.LinkType == stream.LinkTypeEthernet {
		longestTagged += 4
		f.minimum = 14
		f.addHeader = c.link == "ethernet"
	}
	f.maximum = func(frame []byte) int {
		if len(frame) >= 14 && frame[12] == 0x81 && frame[13] == 0 { // IEEE 802.1Q
			return longestTagged
		}
		return longest
	}
	f.accepts = func(link stream.LinkType) error {
		err := device.Accepts(link)
		switch {
		case err == nil || f.addHeader && wire.BecomesEthernet(link):
			return nil
		case f.minimum == 14 && wire.BecomesEthernet(link):
			return withHint(err, "--link ethernet gives such frames an Ethernet header")
		}
		return err
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
// itself. They are valid until the next call. The packet has no more bytes than it
// had on the wire.
func (f *framer) frames(packets []stream.Packet) ([]stream.Packet, skipReason) {
	packet := &packets[0]
	if f.check(packet.LinkType) != nil {
		return nil, skippedLinkType
	}
	length := len(packet.Data)
	fits := length >= f.minimum && length <= f.maximum(packet.Data) && uint64(length) >= uint64(packet.WireLength)
	if fits && (!f.addHeader || packet.LinkType == stream.LinkTypeEthernet) {
		return packets, notSkipped
	}
	f.frame[0] = *packet
	frame := &f.frame[0]
	if f.addHeader {
		if reason := f.makeEthernet(frame); reason != notSkipped {
			return nil, reason
		}
	}
	if reason := f.lengthen(frame); reason != notSkipped {
		return nil, reason
	}
	return f.shorten()
}

// makeEthernet gives the frame an Ethernet header.
func (f *framer) makeEthernet(frame *stream.Packet) skipReason {
	before := len(frame.Data)
	var err error
	f.withLink, err = wire.AppendEthernet(f.withLink[:0], frame)
	switch {
	case errors.Is(err, wire.ErrTooShort):
		return skippedShort
	case err != nil:
		return skippedLinkType
	}
	frame.Data, frame.LinkType = f.withLink, stream.LinkTypeEthernet
	frame.WireLength = uint32(min(max(int64(frame.WireLength)+int64(len(frame.Data)-before), 0), math.MaxUint32))
	return notSkipped
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
		switch {
		case f.oversize == "truncate":
			wanted = max(longest, len(frame.Data))
		case f.oversize != "segment" || wanted > stream.MaxCaptureLength:
			return skippedOversize
		}
	}
	f.padded = append(f.padded[:0], frame.Data...)
	f.padded = append(f.padded, make([]byte, wanted-len(frame.Data))...)
	frame.Data = f.padded
	f.paddings.Add(1)
	return notSkipped
}

// shorten treats the frame where it is too long.
func (f *framer) shorten() ([]stream.Packet, skipReason) {
	frame := &f.frame[0]
	longest := f.maximum(frame.Data)
	switch {
	case len(frame.Data) <= longest:
		return f.frame[:], notSkipped
	case f.oversize == "truncate":
		frame.Data = frame.Data[:longest]
		f.truncations.Add(1)
		return f.frame[:], notSkipped
	case f.oversize == "segment":
		if segments, err := f.segmenter.Segment(frame, f.mtu); err == nil {
			f.segmentations.Add(1)
			return segments, notSkipped
		}
	}
	return nil, skippedOversize
}

// why says what is wrong with a packet that frames has skipped.
func (f *framer) why(packet *stream.Packet, reason skipReason) string {
	switch reason {
	case skippedShort:
		if packet.WireLength <= uint32(len(packet.Data)) {
			return fmt.Sprintf("it had %d bytes on the wire", packet.WireLength)
		}
		return fmt.Sprintf("the capture holds %d bytes of it", len(packet.Data))
	case skippedOversize:
		return fmt.Sprintf("%d bytes, but at most %d can be sent", max(len(packet.Data), int(packet.WireLength)), f.maximum(packet.Data))
	}
	if err := f.accepts(packet.LinkType); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("what it holds of link type %s has no Ethernet counterpart", packet.LinkType)
}
