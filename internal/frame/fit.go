package frame

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"pcap-replay/internal/plural"
	"pcap-replay/stream"
)

// SkipReason is why a packet is not sent.
type SkipReason int

const (
	NotSkipped SkipReason = iota
	SkippedOversize
	SkippedShort
	SkippedLinkType
	SkipReasons // number of reasons
)

func (r SkipReason) String() string {
	return [...]string{"", "oversize", "short", "link type"}[r]
}

// Policies say what to do with frames that cannot be sent as they are.
type Policies struct {
	Oversize OversizePolicy
	Short    ShortPolicy
	Link     LinkPolicy
}

// OversizePolicy says what to do with a frame that is longer than can be sent.
type OversizePolicy int

const (
	OversizeError    OversizePolicy = iota // do not send it; this is an error
	OversizeSkip                           // do not send it
	OversizeTruncate                       // send its beginning
	OversizeSegment                        // send it as the segments that TSO makes of it
)

// ShortPolicy says what to do with a frame of which the capture holds only a part.
type ShortPolicy int

const (
	ShortPad  ShortPolicy = iota // add zeros up to the length on the wire
	ShortAsIs                    // send the part
	ShortSkip                    // do not send it
)

// LinkPolicy says what to do with a frame of another link type.
type LinkPolicy int

const (
	LinkRefuse   LinkPolicy = iota // do not send it; this is an error
	LinkEthernet                   // give it an Ethernet header if possible
)

// Asked reports whether a policy says that such packets are skipped. Otherwise it is an error.
func (p Policies) Asked(reason SkipReason) bool {
	return reason == SkippedOversize && p.Oversize == OversizeSkip || reason == SkippedShort && p.Short == ShortSkip
}

// Limits say which frames can be sent.
type Limits struct {
	// Accepts returns the reason why frames of a link type cannot be sent as they are. It
	// is called when the link type changes.
	Accepts func(stream.LinkType) error
	// Shortest and Longest are limits for the length of a frame, in bytes. An Ethernet
	// frame with an 802.1Q tag may be longer by the tag.
	Shortest, Longest int
	// Ethernet means that frames are sent as Ethernet frames.
	Ethernet bool
	// TagsIncluded means that no tag is allowed in addition to Longest.
	TagsIncluded bool
	// Neighbor returns the MAC address for an IP address of 4 or 16 bytes. If it is not nil,
	// packets without a destination MAC address get that of their IP address, if it is known.
	Neighbor func(address []byte) (mac [6]byte, known bool)
}

// longest is the maximum length of a frame that begins with data.
func (l *Limits) longest(frame []byte) int {
	if l.Ethernet && !l.TagsIncluded {
		return MaxLength(frame, l.Longest-EthernetLength)
	}
	return l.Longest
}

// Fitter turns packets into frames that can be sent. One goroutine uses it, and any
// goroutine may read the counters.
type Fitter struct {
	limits   Limits
	policies Policies

	link      stream.LinkType // accepted last
	hasLink   bool
	frame     [1]stream.Packet // made of a packet
	withLink  []byte           // its data, with a new header
	isMadeUp  bool             // Link made the destination MAC address up
	padded    []byte           // its data, with padding
	segmenter Segmenter

	// Packets that were changed.
	Padded, Truncated, Segmented atomic.Int64
}

// NewFitter returns a Fitter for frames within limits.
func NewFitter(limits Limits, policies Policies) *Fitter {
	return &Fitter{limits: limits, policies: policies}
}

// Check returns the reason why no frames of a link type can be sent.
func (f *Fitter) Check(link stream.LinkType) error {
	if link == f.link && f.hasLink {
		return nil
	}
	if !f.makesEthernet() || !BecomesEthernet(link) {
		if err := f.limits.Accepts(link); err != nil {
			return err
		}
	}
	f.link, f.hasLink = link, true
	return nil
}

func (f *Fitter) makesEthernet() bool {
	return f.limits.Ethernet && f.policies.Link == LinkEthernet
}

// Frames returns the frames to send for the one packet in packets, which is usually packets
// itself. They are valid until the next call. The packet must not have more bytes than its
// length on the wire.
func (f *Fitter) Frames(packets []stream.Packet) ([]stream.Packet, SkipReason) {
	packet := &packets[0]
	if f.Check(packet.LinkType) != nil {
		return nil, SkippedLinkType
	}
	if f.fits(packet) && !f.isMadeUp {
		return packets, NotSkipped
	}
	f.frame[0] = *packet
	frame := &f.frame[0]
	if frame.LinkType != stream.LinkTypeEthernet {
		if reason := f.Link(frame); reason != NotSkipped {
			return nil, reason
		}
	}
	if f.isMadeUp {
		f.findNeighbor(frame.Data)
		f.isMadeUp = false
	}
	if reason := f.lengthen(frame); reason != NotSkipped {
		return nil, reason
	}
	return f.shorten()
}

// fits reports whether a packet is sent as it is.
func (f *Fitter) fits(packet *stream.Packet) bool {
	length := len(packet.Data)
	return length >= f.limits.Shortest && length <= f.limits.longest(packet.Data) && uint64(length) >= uint64(packet.WireLength) &&
		(packet.LinkType == stream.LinkTypeEthernet || !f.makesEthernet())
}

// Link gives a packet an Ethernet header if the policies and the link type say so. Frames
// does this as well. A caller that changes packets calls Link before, and Frames with the
// changed packet after it, so that it can change the new header, and the neighbor is that of
// the changed address. The Data that Link makes is valid until the next call.
func (f *Fitter) Link(packet *stream.Packet) SkipReason {
	f.isMadeUp = false
	if packet.LinkType == stream.LinkTypeEthernet || !f.makesEthernet() {
		return NotSkipped
	}
	before := len(packet.Data)
	var err error
	f.withLink, err = AppendEthernet(f.withLink[:0], packet)
	switch {
	case errors.Is(err, ErrTooShort):
		return SkippedShort
	case err != nil:
		return SkippedLinkType
	}
	f.isMadeUp = [6]byte(f.withLink) == noDestination
	packet.Data, packet.LinkType = f.withLink, stream.LinkTypeEthernet
	packet.WireLength = uint32(min(max(int64(packet.WireLength)+int64(len(packet.Data)-before), 0), math.MaxUint32))
	return NotSkipped
}

// findNeighbor replaces a destination MAC address that is still the one that was made up.
func (f *Fitter) findNeighbor(frame []byte) {
	if f.limits.Neighbor == nil || len(frame) < EthernetLength || [6]byte(frame) != noDestination {
		return
	}
	offset, etherType := networkOffset(frame)
	network := frame[offset:]
	var address []byte
	switch {
	case etherType == EtherTypeIPv4 && len(network) >= MinIPv4Length:
		address = network[16:20]
	case etherType == EtherTypeIPv6 && len(network) >= IPv6Length:
		address = network[24:40]
	default:
		return
	}
	if mac, known := f.limits.Neighbor(address); known {
		copy(frame, mac[:])
	}
}

// lengthen applies the policy for a frame of which the capture holds only a part.
func (f *Fitter) lengthen(frame *stream.Packet) SkipReason {
	wanted := int(min(frame.WireLength, math.MaxInt32))
	switch {
	case len(frame.Data) < f.limits.Shortest:
		return SkippedShort
	case wanted <= len(frame.Data) || f.policies.Short == ShortAsIs:
		return NotSkipped
	case f.policies.Short == ShortSkip:
		return SkippedShort
	}
	if longest := f.limits.longest(frame.Data); wanted > longest {
		switch {
		case f.policies.Oversize == OversizeTruncate:
			wanted = max(longest, len(frame.Data))
		case f.policies.Oversize != OversizeSegment || wanted > stream.MaxCaptureLength:
			return SkippedOversize
		}
	}
	f.padded = append(f.padded[:0], frame.Data...)
	f.padded = append(f.padded, make([]byte, wanted-len(frame.Data))...)
	frame.Data = f.padded
	f.Padded.Add(1)
	return NotSkipped
}

// shorten applies the policy for a frame that is too long.
func (f *Fitter) shorten() ([]stream.Packet, SkipReason) {
	frame := &f.frame[0]
	longest := f.limits.longest(frame.Data)
	switch {
	case len(frame.Data) <= longest:
		return f.frame[:], NotSkipped
	case f.policies.Oversize == OversizeTruncate:
		frame.Data = frame.Data[:longest]
		f.Truncated.Add(1)
		return f.frame[:], NotSkipped
	case f.policies.Oversize == OversizeSegment:
		mtu := longest - MaxLength(frame.Data, 0)
		if segments, err := f.segmenter.Segment(frame, mtu); err == nil {
			f.Segmented.Add(1)
			return segments, NotSkipped
		}
	}
	return nil, SkippedOversize
}

// WouldSegment reports whether a packet that was skipped as too long is one that
// OversizeSegment would send.
func (f *Fitter) WouldSegment(packet *stream.Packet) bool {
	return f.policies.Oversize != OversizeSegment && packet.WireLength <= stream.MaxCaptureLength && f.checkSegments(packet) == nil
}

// checkSegments returns the reason why a packet cannot be cut into segments.
func (f *Fitter) checkSegments(packet *stream.Packet) error {
	whole := *packet
	missing := int64(packet.WireLength) - int64(len(packet.Data))
	if missing > 0 && f.policies.Short == ShortPad && packet.WireLength <= stream.MaxCaptureLength { // as lengthen does
		whole.Data = slices.Concat(packet.Data, make([]byte, missing))
	}
	_, err := parseSuperframe(&whole)
	return err
}

// Explain describes why Frames has skipped a packet.
func (f *Fitter) Explain(packet *stream.Packet, reason SkipReason) string {
	switch reason {
	case SkippedShort:
		if packet.WireLength <= uint32(len(packet.Data)) {
			return "it had only " + plural.Of(packet.WireLength, "byte") + " on the wire"
		}
		return "the capture holds only " + plural.Of(len(packet.Data), "byte") + " of it"
	case SkippedOversize:
		why := fmt.Sprintf("%d bytes, but at most %d can be sent", max(len(packet.Data), int(packet.WireLength)), f.limits.longest(packet.Data))
		if err := f.checkSegments(packet); f.policies.Oversize == OversizeSegment && err != nil {
			why += ": " + err.Error()
		}
		return why
	}
	if err := f.Check(packet.LinkType); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("its protocol in link type %s has no Ethernet counterpart", packet.LinkType)
}
