package frame

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"pcap-replay/stream"
)

// SkipReason is why a packet is not sent.
type SkipReason int

const (
	NotSkipped SkipReason = iota
	SkippedOversize
	SkippedShort
	SkippedLinkType
	SkipReasons // how many there are
)

func (r SkipReason) String() string {
	return [...]string{"", "oversize", "short", "link type"}[r]
}

// Policies are what to do with frames that cannot be sent as they are.
type Policies struct {
	Oversize OversizePolicy
	Short    ShortPolicy
	Link     LinkPolicy
}

// OversizePolicy is what to do with a frame that is longer than can be sent.
type OversizePolicy int

const (
	OversizeError    OversizePolicy = iota // do not send it; this is an error
	OversizeSkip                           // do not send it
	OversizeTruncate                       // send its beginning
	OversizeSegment                        // send it as the segments that TSO makes of it
)

// ShortPolicy is what to do with a frame of which the capture holds only a part.
type ShortPolicy int

const (
	ShortPad  ShortPolicy = iota // add zeros up to the length on the wire
	ShortAsIs                    // send the part
	ShortSkip                    // do not send it
)

// LinkPolicy is what to do with a frame of another link type.
type LinkPolicy int

const (
	LinkRefuse   LinkPolicy = iota // do not send it; this is an error
	LinkEthernet                   // give it an Ethernet header where that can be done
)

// Asked says that a policy asks for a packet to be skipped, so that this is no error.
func (p Policies) Asked(reason SkipReason) bool {
	return reason == SkippedOversize && p.Oversize == OversizeSkip || reason == SkippedShort && p.Short == ShortSkip
}

// Limits say which frames can be sent.
type Limits struct {
	// Accepts says why frames of a link type cannot be sent as they are. It is asked
	// when the link type changes.
	Accepts func(stream.LinkType) error
	// Shortest and Longest are lengths of a frame in bytes. An Ethernet frame with a
	// tag of 802.1Q may be longer by the tag.
	Shortest, Longest int
	// Ethernet says that frames are sent as Ethernet frames.
	Ethernet bool
}

// longest is the length of the longest frame that begins so.
func (l *Limits) longest(frame []byte) int {
	if l.Ethernet {
		return MaxLength(frame, l.mtu())
	}
	return l.Longest
}

func (l *Limits) mtu() int { return l.Longest - EthernetLength }

// Fitter makes frames that can be sent of packets. One goroutine uses it; the counters
// may be read by any.
type Fitter struct {
	limits   Limits
	policies Policies

	link      stream.LinkType // accepted last
	hasLink   bool
	frame     [1]stream.Packet // made of a packet
	withLink  []byte           // its data, with a new header
	padded    []byte           // its data, with padding
	segmenter Segmenter

	// Packets that were changed.
	Padded, Truncated, Segmented atomic.Int64
}

// NewFitter gives a Fitter for frames within limits.
func NewFitter(limits Limits, policies Policies) *Fitter {
	return &Fitter{limits: limits, policies: policies}
}

// Check says why no frames of a link type can be sent.
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

// Frames gives the frames to send for the one packet in packets: mostly packets itself.
// They are valid until the next call. The packet has no more bytes than it had on the
// wire.
func (f *Fitter) Frames(packets []stream.Packet) ([]stream.Packet, SkipReason) {
	packet := &packets[0]
	if f.Check(packet.LinkType) != nil {
		return nil, SkippedLinkType
	}
	if f.fits(packet) {
		return packets, NotSkipped
	}
	f.frame[0] = *packet
	frame := &f.frame[0]
	if f.makesEthernet() {
		if reason := f.makeEthernet(frame); reason != NotSkipped {
			return nil, reason
		}
	}
	if reason := f.lengthen(frame); reason != NotSkipped {
		return nil, reason
	}
	return f.shorten()
}

// fits says that a packet is sent as it is.
func (f *Fitter) fits(packet *stream.Packet) bool {
	length := len(packet.Data)
	return length >= f.limits.Shortest && length <= f.limits.longest(packet.Data) && uint64(length) >= uint64(packet.WireLength) &&
		(packet.LinkType == stream.LinkTypeEthernet || !f.makesEthernet())
}

// makeEthernet gives the frame an Ethernet header.
func (f *Fitter) makeEthernet(packet *stream.Packet) SkipReason {
	before := len(packet.Data)
	var err error
	f.withLink, err = AppendEthernet(f.withLink[:0], packet)
	switch {
	case errors.Is(err, ErrTooShort):
		return SkippedShort
	case err != nil:
		return SkippedLinkType
	}
	packet.Data, packet.LinkType = f.withLink, stream.LinkTypeEthernet
	packet.WireLength = uint32(min(max(int64(packet.WireLength)+int64(len(packet.Data)-before), 0), math.MaxUint32))
	return NotSkipped
}

// lengthen treats a frame of which the capture has kept only a part.
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

// shorten treats the frame where it is too long.
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
		if segments, err := f.segmenter.Segment(frame, f.limits.mtu()); err == nil {
			f.Segmented.Add(1)
			return segments, NotSkipped
		}
	}
	return nil, SkippedOversize
}

// Explain says what is wrong with a packet that Frames has skipped.
func (f *Fitter) Explain(packet *stream.Packet, reason SkipReason) string {
	switch reason {
	case SkippedShort:
		if packet.WireLength <= uint32(len(packet.Data)) {
			return fmt.Sprintf("it had only %d bytes on the wire", packet.WireLength)
		}
		return fmt.Sprintf("the capture holds only %d bytes of it", len(packet.Data))
	case SkippedOversize:
		return fmt.Sprintf("%d bytes, but at most %d can be sent", max(len(packet.Data), int(packet.WireLength)), f.limits.longest(packet.Data))
	}
	if err := f.Check(packet.LinkType); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("its protocol in link type %s has no Ethernet counterpart", packet.LinkType)
}
