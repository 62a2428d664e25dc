package wire

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Neighbors knows the MAC addresses to which the kernel would send packets on an interface:
// those of hosts on the link, and those of gateways. It does not ask the link for unknown
// addresses. It is not safe for concurrent use.
type Neighbors struct {
	index int
	known map[string][6]byte // of addresses on the link
	found map[string]neighbor
}

// neighbor is the MAC address for an IP address, if there is one.
type neighbor struct {
	mac     [6]byte
	isKnown bool
}

// maxFound limits the IP addresses that Neighbors remembers. A route is asked for in some ten
// microseconds.
const maxFound = 1 << 16

// Neighbors reads the neighbors of the interface as they are now.
func (i *Interface) Neighbors() (*Neighbors, error) {
	entries, err := netlink.NeighList(i.Index, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("interface %q: neighbors: %w", i.Name, err)
	}
	n := &Neighbors{index: i.Index, known: map[string][6]byte{}, found: map[string]neighbor{}}
	for _, entry := range entries {
		const valid = unix.NUD_PERMANENT | unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE
		if entry.State&valid != 0 && len(entry.HardwareAddr) == 6 {
			n.known[string(shortest(entry.IP))] = [6]byte(entry.HardwareAddr)
		}
	}
	return n, nil
}

// shortest returns an IPv4 address as 4 bytes.
func shortest(address net.IP) net.IP {
	if short := address.To4(); short != nil {
		return short
	}
	return address
}

// MAC returns the MAC address for an IP address of 4 or 16 bytes.
func (n *Neighbors) MAC(address []byte) (mac [6]byte, known bool) {
	found, ok := n.found[string(address)]
	if !ok {
		if len(n.found) >= maxFound {
			clear(n.found)
		}
		found = n.find(address)
		n.found[string(address)] = found
	}
	return found.mac, found.isKnown
}

// find looks for a host on the link, and for the gateway of the route.
func (n *Neighbors) find(address net.IP) neighbor {
	if mac, ok := n.known[string(address)]; ok {
		return neighbor{mac, true}
	}
	routes, err := netlink.RouteGetWithOptions(address, &netlink.RouteGetOptions{OifIndex: n.index})
	if err != nil {
		return neighbor{}
	}
	for _, route := range routes {
		if mac, ok := n.known[string(shortest(route.Gw))]; ok && route.LinkIndex == n.index && route.Gw != nil {
			return neighbor{mac, true}
		}
	}
	return neighbor{}
}

// hopPatience is how long the kernel may look for the link-layer address of a neighbor: it
// asks three times, a second apart (mcast_solicit and retrans_time_ms in arp(7)).
const (
	hopPatience = 4 * time.Second
	hopPoll     = 20 * time.Millisecond
)

// awaitHop waits until the kernel has found the link-layer address of the next hop to an
// address, or has given up. It returns the next hop only if the kernel has none.
func awaitHop(remote netip.Addr) (failed netip.Addr) {
	link, hop, err := nextHop(remote)
	if err != nil {
		return netip.Addr{}
	}
	for begun := time.Now(); ; time.Sleep(hopPoll) {
		state := neighborState(link, hop)
		if state == unix.NUD_INCOMPLETE && time.Since(begun) < hopPatience {
			continue
		}
		if state&(unix.NUD_INCOMPLETE|unix.NUD_FAILED) == 0 {
			return netip.Addr{}
		}
		return hop
	}
}

// nextHop returns the interface and the neighbor on it that packets for an address go to.
func nextHop(remote netip.Addr) (link int, hop netip.Addr, err error) {
	options := &netlink.RouteGetOptions{}
	if remote.Zone() != "" {
		options.Oif = remote.Zone()
	}
	routes, err := netlink.RouteGetWithOptions(remote.AsSlice(), options)
	if err != nil || len(routes) == 0 {
		return 0, hop, fmt.Errorf("route to %s: %w", remote, err)
	}
	hop = remote
	if gateway, ok := netip.AddrFromSlice(shortest(routes[0].Gw)); ok {
		hop = gateway
	}
	return routes[0].LinkIndex, hop.WithZone(""), nil
}

// neighborState is what the kernel knows of a neighbor (NUD_ in rtnetlink(7)), or 0.
func neighborState(link int, address netip.Addr) int {
	entries, err := netlink.NeighList(link, unix.AF_UNSPEC)
	if err != nil {
		return 0
	}
	for _, entry := range entries {
		if known, ok := netip.AddrFromSlice(shortest(entry.IP)); ok && known == address {
			return entry.State
		}
	}
	return 0
}
