package wire

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pcap-replay/stream"
)

// Lookup finds an interface by its name, in the network namespace of the calling thread. It
// uses netlink, because sysfs shows the namespace in which it was mounted.
func Lookup(name string) (*Interface, error) {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ERANGE) { // the latter is a name that none can have
		return nil, noInterface(name, Names())
	}
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	attributes := link.Attrs()
	i := &Interface{
		Name: attributes.Name, Index: attributes.Index, MTU: attributes.MTU, HardwareAddress: attributes.HardwareAddr,
		Up:      attributes.RawFlags&unix.IFF_UP != 0,
		Carrier: attributes.RawFlags&unix.IFF_LOWER_UP != 0,
	}
	i.LinkType, i.HasLinkType = linkType(attributes.EncapType)
	return i, nil
}

// linkType returns the link type for the ARPHRD_ type of the device, by the names of
// iproute2, which netlink returns.
func linkType(encapsulation string) (stream.LinkType, bool) {
	switch encapsulation {
	case "ether", "loopback":
		return stream.LinkTypeEthernet, true
	case "none", "rawip", "ipip", "tunnel6", "sit", "gre", "gre6":
		return stream.LinkTypeRaw, true // no link-layer header
	case "ppp":
		return stream.LinkTypePPP, true
	case "ieee802.11":
		return stream.LinkTypeIEEE80211, true
	case "ieee802.11/radiotap":
		return stream.LinkTypeIEEE80211Radio, true
	}
	return 0, false
}

// Names returns the names of the interfaces, or none if the kernel does not list them.
func Names() (names []string) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil
	}
	for _, link := range links {
		names = append(names, link.Attrs().Name)
	}
	return names
}

// Peer returns the name of the other end of a veth pair. It is "" for other interfaces, and
// if the other end is in another network namespace.
func (i *Interface) Peer() string {
	link, err := netlink.LinkByIndex(i.Index)
	if err != nil || link.Type() != "veth" || link.Attrs().NetNsID >= 0 {
		return ""
	}
	peer, err := netlink.LinkByIndex(link.Attrs().ParentIndex)
	if err != nil {
		return ""
	}
	return peer.Attrs().Name
}

// Counters reads the transmit counters of the device.
func (i *Interface) Counters() (Counters, error) {
	link, err := netlink.LinkByIndex(i.Index)
	if err != nil {
		return Counters{}, fmt.Errorf("interface %q: %w", i.Name, err)
	}
	s := link.Attrs().Statistics
	if s == nil {
		return Counters{}, fmt.Errorf("interface %q: no counters", i.Name)
	}
	return Counters{Packets: s.TxPackets, Bytes: s.TxBytes, Dropped: s.TxDropped, Errors: s.TxErrors}, nil
}
