// Package wire has the network interfaces of this machine and the ways to send frames on
// them. Sending works on Linux. On other systems, the package compiles, and its functions
// return an error.
package wire

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

var (
	// ErrNoInterface means that there is no interface with this name.
	ErrNoInterface = errors.New("no such interface")
	// ErrDown means that an interface is not up, or went down.
	ErrDown = errors.New("interface is down")
	// ErrNoCarrier means that nothing is connected to an interface.
	ErrNoCarrier = errors.New("interface has no carrier")
	// ErrTooLong means that a frame is longer than the interface can send.
	ErrTooLong = errors.New("frame is longer than the MTU allows")
	// ErrRefused means that a device did not accept a frame, without a reason. A veth does
	// so if the frame is longer than the MTU of its peer.
	ErrRefused = errors.New("refused by the device")
	// ErrPermission means that raw sockets are not permitted.
	ErrPermission = errors.New("not permitted to send raw frames")
	// ErrLinkType means that an interface does not accept frames of a link type.
	ErrLinkType = errors.New("link type does not fit")
)

// Interface is the state of a network interface when it was looked up.
type Interface struct {
	Name  string
	Index int
	// MTU is the maximum length of a network-layer packet in bytes. A frame may be longer
	// by its link-layer header: see [Interface.MaxFrame].
	MTU             int
	HardwareAddress net.HardwareAddr
	// LinkType is the link type of the interface. HasLinkType is false if it is not known
	// here.
	LinkType    stream.LinkType
	HasLinkType bool
	Up, Carrier bool
}

// Counters are the counters of the device since it was created.
type Counters struct {
	Packets, Bytes, Dropped, Errors uint64 // transmitted
}

// Sender sends frames. Only one goroutine at a time may use it.
type Sender interface {
	// WarmUp executes as much of a Send as possible without sending anything, so that the
	// next Send finds its code and data in the caches of this core.
	WarmUp()
	// Send sends the Data of packets in order and returns how many the device accepted. An
	// error is about packets[sent]. After ErrTooLong and frame.ErrTooShort, the caller may
	// leave out this packet and continue with the next one. After any other error, nothing
	// more can be sent. Without an error, the device had no room for packets[sent], and the
	// caller sends the rest again: Send has already paused if it sent nothing. An AF_XDP
	// socket waits for room itself. Data must not change until the next Flush.
	Send(packets []stream.Packet) (sent int, err error)
	// Flush returns when all accepted frames have been passed to the device.
	Flush() error
	// Drain returns when the frames have left the queueing discipline, or when it makes no
	// progress.
	Drain() error
	// Retries is the number of times that the device had no room and a frame was sent
	// again.
	Retries() uint64
	Close() error
}

// Stamps reads the transmit timestamps of a socket. One goroutine may use it, while another
// one sends.
type Stamps interface {
	// Read reads timestamps into dst and returns their number. It waits for the first one,
	// and returns 0 after a timeout.
	Read(dst []Stamp, wait time.Duration) (n int, err error)
}

// Stamp is when the kernel passed a frame to the device, or with AF_XDP, when the device
// was done with it.
type Stamp struct {
	// Frame is the number of the frame on its socket in the order of Send, counted from 0
	// and modulo 2^32.
	Frame uint32
	// Time is in nanoseconds since the Unix epoch.
	Time int64
}

// MaxFrame is the maximum length of a frame in bytes, without a VLAN tag.
func (i *Interface) MaxFrame() int {
	if i.LinkType == stream.LinkTypeEthernet {
		return i.MTU + frame.EthernetLength
	}
	return i.MTU
}

// Ready returns an error with a hint if the interface is down or has no carrier.
func (i *Interface) Ready() error {
	switch {
	case !i.Up:
		return downError(i.Name)
	case !i.Carrier:
		return &stateError{quoted(i.Name), ErrNoCarrier, i.hintCarrier()}
	}
	return nil
}

// stateError is the error of an interface or a tunnel that cannot send now.
type stateError struct {
	name string
	err  error
	hint string // what to do about it
}

func (e *stateError) Error() string { return e.name + ": " + e.err.Error() }
func (e *stateError) Unwrap() error { return e.err }
func (e *stateError) Hint() string  { return e.hint }

func quoted(name string) string { return fmt.Sprintf("interface %q", name) }

func downError(name string) error {
	return &stateError{quoted(name), ErrDown, "ip link set " + name + " up"}
}

// hintCarrier says how to get a carrier.
func (i *Interface) hintCarrier() string {
	if peer := i.Peer(); peer != "" {
		return "the other end is down: ip link set " + peer + " up"
	}
	return "the other end is down, or no cable is connected: ip link set PEER up at the other end"
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

// noInterface is the error for a missing interface, which names those that exist.
func noInterface(name string, others []string) error {
	if len(others) == 0 {
		return fmt.Errorf("interface %q: %w", name, ErrNoInterface)
	}
	return fmt.Errorf("interface %q: %w; there are %s", name, ErrNoInterface, strings.Join(others, ", "))
}
