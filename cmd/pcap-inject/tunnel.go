package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tunnel"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// destination is the value of --to.
type destination struct {
	url           string
	encapsulation tunnel.Encapsulation
	host          string
	port          uint16
	vni           uint32
}

// parseDestination parses a URL such as vxlan://sensor:4789?vni=7.
func parseDestination(text string) (*destination, error) {
	wrong := func(what string) error {
		return tool.UsageErrorf("--to %q: %s", text, what).
			WithHint("give a URL such as vxlan://192.0.2.1?vni=7 or geneve://[2001:db8::1]:6081?vni=7")
	}
	parsed, err := url.Parse(text)
	if err != nil && strings.Contains(text, "%") { // RFC 6874, section 2
		return nil, wrong("wanted %25 before the interface of an IPv6 address, such as [fe80::1%25eth0]")
	}
	if err != nil {
		var reason *url.Error
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return nil, wrong(err.Error())
	}
	d := &destination{url: text, host: parsed.Hostname()}
	if strings.Contains(d.host, ":") && !strings.HasPrefix(parsed.Host, "[") {
		return nil, wrong("wanted an IPv6 address in brackets")
	}
	var known bool
	if d.encapsulation, known = tunnel.FindEncapsulation(parsed.Scheme); !known {
		return nil, wrong("wanted vxlan:// or geneve://")
	}
	if d.host == "" {
		return nil, wrong("wanted a host")
	}
	if address, err := netip.ParseAddr(d.host); err == nil && address.Is6() && address.IsLinkLocalUnicast() && address.Zone() == "" {
		return nil, wrong("wanted the interface of a link-local address, such as [fe80::1%25eth0]")
	}
	if parsed.User != nil || parsed.Path != "" || parsed.Fragment != "" {
		return nil, wrong("wanted only a host, a port and a VNI")
	}
	d.port = d.encapsulation.Port
	if digits := parsed.Port(); digits != "" {
		port, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || port == 0 {
			return nil, wrong("wanted a port from 1 to 65535")
		}
		d.port = uint16(port)
	}
	values, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return nil, wrong(err.Error())
	}
	if len(values) != 1 || len(values["vni"]) != 1 {
		return nil, wrong("wanted ?vni=N, the identifier of the virtual network")
	}
	vni, err := strconv.ParseUint(values.Get("vni"), 10, 32)
	if err != nil || vni > tunnel.MaxVNI {
		return nil, wrong(fmt.Sprintf("wanted a VNI from 0 to %d", tunnel.MaxVNI))
	}
	d.vni = uint32(vni)
	return d, nil
}

// addresses are those of the host, in the order in which they are to be tried.
func (d *destination) addresses(ctx context.Context) ([]netip.Addr, error) {
	// LookupNetIP would lose the interface of a link-local address.
	if address, err := netip.ParseAddr(d.host); err == nil {
		return []netip.Addr{address}, nil
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", d.host)
	var lookup *net.DNSError
	if errors.As(err, &lookup) && lookup.IsNotFound {
		return nil, tool.UsageErrorf("--to: host %q is not known", d.host)
	}
	if err != nil {
		return nil, fmt.Errorf("--to: host %q: %w", d.host, err)
	}
	return addresses, nil
}

// tunnelSink sends frames to another host in UDP datagrams.
type tunnelSink struct {
	destination *destination
	remote      wire.Tunnel
	sockets     sockets
	tunnels     []*wire.TunnelSender // the sockets
	maxFrame    int                  // by the MTU of the route
}

// openTunnelSink resolves the host of --to and opens the sockets.
func openTunnelSink(ctx context.Context, c *config, messages *tool.Messages) (*tunnelSink, error) {
	d := c.to
	addresses, err := d.addresses(ctx)
	if err != nil {
		return nil, err
	}
	s := &tunnelSink{destination: d}
	var told atomic.Bool
	unreachable := func(err error) {
		if !told.Swap(true) {
			messages.Warnf("%v; sending continues", err)
		}
	}
	// The first address to which there is a route is used, as for a connection.
	for _, address := range addresses {
		s.remote = wire.Tunnel{
			Name:   "--to " + d.encapsulation.Kind.String() + "://" + netip.AddrPortFrom(address.Unmap(), d.port).String(),
			Remote: netip.AddrPortFrom(address.Unmap(), d.port), Header: d.encapsulation.Header(d.vni), ZeroChecksum: d.encapsulation.ZeroChecksum,
			Unreachable: unreachable,
		}
		if err = s.openSockets(c); err == nil {
			return s, nil
		}
		s.close()
		s.tunnels = nil
	}
	if errors.Is(err, wire.ErrNoInterface) {
		return nil, tool.UsageErrorf("%w", err)
	}
	return nil, err
}

// openSockets opens the sockets of each worker.
func (s *tunnelSink) openSockets(c *config) error {
	for worker := range c.workers {
		socket, err := wire.OpenTunnel(s.remote, worker, c.workers)
		if err != nil {
			return err
		}
		s.sockets.open, s.tunnels = append(s.sockets.open, socket), append(s.tunnels, socket)
		s.maxFrame = socket.MaxFrame()
	}
	if c.verify {
		return s.sockets.stampFrames()
	}
	return nil
}

func (s *tunnelSink) senders() []schedule.Sender { return s.sockets.senders() }

// egresses returns one that accepts Ethernet frames that fit into a datagram.
func (s *tunnelSink) egresses(c *config, longest int) []*egress {
	fitter := frame.NewFitter(frame.Limits{
		Shortest: frame.EthernetLength, Longest: min(s.maxFrame, longest), Ethernet: true, TagsIncluded: true, Accepts: s.accepts,
	}, c.policies)
	return []*egress{{name: s.remote.Name, fitter: fitter, allowLonger: s.allowLonger}}
}

// accepts returns the reason why frames of a link type cannot be sent as they are.
func (s *tunnelSink) accepts(link stream.LinkType) error {
	if link == stream.LinkTypeEthernet {
		return nil
	}
	err := fmt.Errorf("%s takes %s, not %s: %w", s.remote.Name, stream.LinkTypeEthernet, link, wire.ErrLinkType)
	if frame.BecomesEthernet(link) {
		return tool.WithHint(err, "--link ethernet gives such frames an Ethernet header")
	}
	return err
}

// allowLonger names the MTU with which frames of a length can be sent, or returns "" if there
// is none.
func (s *tunnelSink) allowLonger(length int) string {
	mtu := s.remote.RouteMTU(length)
	if mtu > maxMTU {
		return ""
	}
	return fmt.Sprintf("give the route to %s an MTU of %d", s.remote.Remote.Addr(), mtu)
}

// refusesFrame is true for a frame that was too long, because the MTU of the route may
// change during a run.
func (s *tunnelSink) refusesFrame(err error) bool { return errors.Is(err, wire.ErrTooLong) }

func (s *tunnelSink) drain() error { return s.sockets.drain() }

func (s *tunnelSink) close() error { return s.sockets.close() }

func (s *tunnelSink) isWire() bool { return true }

func (s *tunnelSink) stamps() (all [][]wire.Stamps) {
	for _, stamps := range s.sockets.stamped {
		all = append(all, []wire.Stamps{stamps})
	}
	return all
}

func (s *tunnelSink) describe(summary *record.InjectSummary) {
	summary.To, summary.Tx, summary.Retries = s.destination.url, "udp", s.sockets.retried()
	summary.Undelivered = s.undelivered()
}

// undelivered is the number of datagrams of which an ICMP error says that they did not arrive.
func (s *tunnelSink) undelivered() (count int64) {
	for _, sender := range s.tunnels {
		count += sender.Undelivered()
	}
	return count
}

// reportDrops reports datagrams that did not arrive. A queueing discipline without room
// refuses a datagram with an error, so it drops none.
func (s *tunnelSink) reportDrops(messages *tool.Messages) {
	count := s.undelivered()
	for _, sender := range s.tunnels {
		if hop, failed := sender.FailedHop(); failed {
			messages.Errorf("%s: the next hop, %s, does not answer: at least %s lost", s.remote.Name, hop, plural.Of(count, "datagram"))
			return
		}
	}
	if count > 0 {
		messages.Errorf("%s: ICMP errors say that at least %s did not arrive", s.remote.Name, plural.Of(count, "datagram"))
	}
}
