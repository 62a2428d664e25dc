// Package wire is the interfaces of this machine and the ways to send frames on
// them. Sending works on Linux; elsewhere everything compiles and says so.
package wire

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

var (
	// ErrNoInterface says that no interface has the name.
	ErrNoInterface = errors.New("no such interface")
	// ErrDown says that an interface is not up, or went down.
	ErrDown = errors.New("interface is down")
	// ErrNoCarrier says that nothing is connected to an interface.
	ErrNoCarrier = errors.New("interface has no carrier")
	// ErrTooLong says that a frame is longer than the interface takes.
	ErrTooLong = errors.New("frame is longer than the MTU allows")
	// ErrRefused says that a device did not take a frame, for no reason it told. The
	// other end of a veth pair does so with what is over its own MTU.
	ErrRefused = errors.New("refused by the device")
	// ErrPermission says that raw sockets are not allowed.
	ErrPermission = errors.New("not permitted to send raw frames")
	// ErrLinkType says that an interface does not take frames of a link type.
	ErrLinkType = errors.New("link type does not fit")
)

// Interface is a network interface as it was when it was looked up.
type Interface struct {
	Name  string
	Index int
	// MTU is the longest network-layer packet in bytes: a frame may be longer by
	// its link-layer header. See [Interface.MaxFrame].
	MTU             int
	HardwareAddress net.HardwareAddr
	// LinkType is what frames begin with; HasLinkType is false for an interface
	// of a kind that is not known here.
	LinkType    stream.LinkType
	HasLinkType bool
	Up, Carrier bool
}

// Counters are what the device has counted since it exists.
type Counters struct {
	Packets, Bytes, Dropped, Errors uint64 // transmitted
}

// Sender sends frames. It is used by one goroutine at a time.
type Sender interface {
	// WarmUp goes through what it can of a Send without sending anything, so that
	// the next one finds its code and memory in this core's caches.
	WarmUp()
	// Send sends the Data of packets in their order and says how many the device
	// has taken: all of them, or else err is about packets[sent]. After ErrTooLong
	// and frame.ErrTooShort the caller may leave that one out and go on after it; after
	// any other error nothing more can be sent. Data must stay as it is until the
	// next Flush.
	Send(packets []stream.Packet) (sent int, err error)
	// Flush returns when all that was taken has been handed to the device.
	Flush() error
	// Drain returns when the frames have left the queueing discipline, or when it
	// stands still.
	Drain() error
	// Retries is how often the device had no room and was asked again.
	Retries() uint64
	Close() error
}

// Stamp says when the kernel handed a frame to the device.
type Stamp struct {
	// Frame is the number of the frame on its socket, counted from 0 and modulo
	// 2^32 in the order of Send.
	Frame uint32
	// Time is in nanoseconds since the Unix epoch.
	Time int64
}

// MaxFrame is the longest frame that the interface takes in bytes, without a VLAN
// tag.
func (i *Interface) MaxFrame() int {
	if i.LinkType == stream.LinkTypeEthernet {
		return i.MTU + frame.EthernetLength
	}
	return i.MTU
}

// Ready returns an error if the interface cannot send because it is down or has no carrier.
func (i *Interface) Ready() error {
	switch {
	case !i.Up:
		return fmt.Errorf("interface %q: %w", i.Name, ErrDown)
	case !i.Carrier:
		return fmt.Errorf("interface %q: %w", i.Name, ErrNoCarrier)
	}
	return nil
}

// Accepts returns an error if frames of a link type cannot be sent as they are.
func (i *Interface) Accepts(link stream.LinkType) error {
	isRaw := link == stream.LinkTypeRaw || link == stream.LinkTypeIPv4 || link == stream.LinkTypeIPv6
	if i.HasLinkType && (link == i.LinkType || i.LinkType == stream.LinkTypeRaw && isRaw) {
		return nil
	}
	takes := "frames of a kind not known here"
	if i.HasLinkType {
		takes = i.LinkType.String()
	}
	return fmt.Errorf("interface %q takes %s, not %s: %w", i.Name, takes, link, ErrLinkType)
}

// noInterface names what there is instead.
func noInterface(name string, others []string) error {
	if len(others) == 0 {
		return fmt.Errorf("interface %q: %w", name, ErrNoInterface)
	}
	return fmt.Errorf("interface %q: %w; there are %s", name, ErrNoInterface, strings.Join(others, ", "))
}
