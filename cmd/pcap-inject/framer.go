package main

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/tool"
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

// policies are what to do with frames that cannot be sent as they are.
type policies struct {
	oversize     oversizePolicy
	short        shortPolicy
	makeEthernet bool // of frames of other link types
}

// oversizePolicy is what to do with a frame that is longer than can be sent.
type oversizePolicy int

const (
	oversizeError oversizePolicy = iota
	oversizeSkip
	oversizeTruncate
	oversizeSegment
)

// shortPolicy is what to do with a frame of which the capture holds a part only.
type shortPolicy int

const (
	shortPad shortPolicy = iota
	shortAsIs
	shortSkip
)

// The values of --oversize and --short, in the order of the policies, and those of --link.
var (
	oversizeWords = []string{"error", "skip", "truncate", "segment"}
	shortWords    = []string{"pad", "asis", "skip"}
	linkWords     = []string{"refuse", "ethernet"}
)

// framer makes of packets what the way out takes: frames of its link type and
// within its lengths.
type framer struct {
	accepts  func(stream.LinkType) error
	maximum  func(frame []byte) int // length of a frame that begins so
	minimum  int
	mtu      int
	policies policies

	link      stream.LinkType // accepted last
	hasLink   bool
	frame     [1]stream.Packet // made of a packet
	withLink  []byte           // its data, with a new header
	padded    []byte           // its data, with padding
	segmenter frame.Segmenter

	paddings, truncations, segmentations atomic.Int64
}

// newFileFramer takes everything, as long as it is of one link type and fits into
// the ring.
func newFileFramer(maximum int) *framer {
	f := &framer{policies: policies{short: shortAsIs}, maximum: func([]byte) int { return maximum }}
	f.accepts = func(link stream.LinkType) error {
		if f.hasLink && link != f.link {
			return &stream.LinkTypeError{First: f.link, Other: link}
		}
		return nil
	}
	return f
}

// newWireFramer takes what an interface takes. A VLAN tag may make a frame longer.
func newWireFramer(device *wire.Interface, asked policies) *framer {
	f := &framer{policies: policies{oversize: asked.oversize, short: asked.short}, mtu: device.MTU, minimum: 1}
	f.maximum = func([]byte) int { return device.MaxFrame() }
	if device.HasLinkType && device.LinkType == stream.LinkTypeEthernet {
		f.maximum = func(data []byte) int { return frame.MaxLength(data, device.MTU) }
		f.minimum = frame.EthernetLength
		f.policies.makeEthernet = asked.makeEthernet
	}
	f.accepts = func(link stream.LinkType) error {
		err := device.Accepts(link)
		switch {
		case err == nil || f.policies.makeEthernet && frame.BecomesEthernet(link):
			return nil
		case f.minimum == frame.EthernetLength && frame.BecomesEthernet(link):
			return tool.WithHint(err, "--link ethernet gives such frames an Ethernet header")
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
	if fits && (!f.policies.makeEthernet || packet.LinkType == stream.LinkTypeEthernet) {
		return packets, notSkipped
	}
	f.frame[0] = *packet
	frame := &f.frame[0]
	if f.policies.makeEthernet {
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
func (f *framer) makeEthernet(packet *stream.Packet) skipReason {
	before := len(packet.Data)
	var err error
	f.withLink, err = frame.AppendEthernet(f.withLink[:0], packet)
	switch {
	case errors.Is(err, frame.ErrTooShort):
		return skippedShort
	case err != nil:
		return skippedLinkType
	}
	packet.Data, packet.LinkType = f.withLink, stream.LinkTypeEthernet
	packet.WireLength = uint32(min(max(int64(packet.WireLength)+int64(len(packet.Data)-before), 0), math.MaxUint32))
	return notSkipped
}

// lengthen treats a frame of which the capture has kept a part only.
func (f *framer) lengthen(frame *stream.Packet) skipReason {
	wanted := int(min(frame.WireLength, math.MaxInt32))
	switch {
	case len(frame.Data) < f.minimum:
		return skippedShort
	case wanted <= len(frame.Data) || f.policies.short == shortAsIs:
		return notSkipped
	case f.policies.short == shortSkip:
		return skippedShort
	}
	if longest := f.maximum(frame.Data); wanted > longest {
		switch {
		case f.policies.oversize == oversizeTruncate:
			wanted = max(longest, len(frame.Data))
		case f.policies.oversize != oversizeSegment || wanted > stream.MaxCaptureLength:
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
	case f.policies.oversize == oversizeTruncate:
		frame.Data = frame.Data[:longest]
		f.truncations.Add(1)
		return f.frame[:], notSkipped
	case f.policies.oversize == oversizeSegment:
		if segments, err := f.segmenter.Segment(frame, f.mtu); err == nil {
			f.segmentations.Add(1)
			return segments, notSkipped
		}
	}
	return nil, skippedOversize
}

// asked says that a packet was left out because a flag asks for that.
func (f *framer) asked(reason skipReason) bool {
	return reason == skippedOversize && f.policies.oversize == oversizeSkip || reason == skippedShort && f.policies.short == shortSkip
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
