//go:build !linux

package wire

import (
	"errors"
	"net/netip"
)

// errUnsupported is the error of systems without packet sockets.
var errUnsupported = errors.New("sending on an interface works on Linux only; -w writes a file anywhere")

// Lookup finds an interface by its name.
func Lookup(string) (*Interface, error) { return nil, errUnsupported }

// Names are the names of the interfaces.
func Names() []string { return nil }

// Peer is the name of the other end of a veth pair.
func (*Interface) Peer() string { return "" }

// Counters reads the transmit counters of the device.
func (*Interface) Counters() (Counters, error) { return Counters{}, errUnsupported }

// OpenPacket opens a raw socket on an interface.
func OpenPacket(*Interface) (Sender, error) { return nil, errUnsupported }

// OpenBypass opens a raw socket whose frames bypass the queueing discipline.
func OpenBypass(*Interface) (Sender, error) { return nil, errUnsupported }

// NeedsQueue returns why frames should go through the queueing discipline.
func (*Interface) NeedsQueue() (string, error) { return "", errUnsupported }

// QueueDrops is the number of frames that the queueing disciplines have dropped.
func (*Interface) QueueDrops() (uint64, error) { return 0, errUnsupported }

// Neighbors knows the MAC addresses of hosts on a link.
type Neighbors struct{}

// Neighbors reads the neighbors of the interface.
func (*Interface) Neighbors() (*Neighbors, error) { return nil, errUnsupported }

// MAC returns the MAC address for an IP address.
func (*Neighbors) MAC([]byte) ([6]byte, bool) { return [6]byte{}, false }

// OpenXDP opens an AF_XDP socket on a transmit queue of an interface.
func OpenXDP(*Interface, int, bool) (Sender, error) { return nil, errUnsupported }

// TunnelSender sends frames in UDP datagrams.
type TunnelSender struct{ Sender }

// OpenTunnel opens one of count senders for a tunnel.
func OpenTunnel(Tunnel, int, int) (*TunnelSender, error) { return nil, errUnsupported }

// MaxFrame is the maximum length of a frame in bytes.
func (*TunnelSender) MaxFrame() int { return 0 }

// Undelivered is the number of datagrams of which an ICMP error says that they did not arrive.
func (*TunnelSender) Undelivered() int64 { return 0 }

// FailedHop is the address of the next hop if it has no link-layer address at the end.
func (*TunnelSender) FailedHop() (hop netip.Addr, failed bool) { return hop, false }

// StampFrames makes the kernel timestamp each frame that a socket sends.
func StampFrames(Sender) (Stamps, error) { return nil, errUnsupported }
