package tunnel

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// Kind is a kind of tunnel.
type Kind int

const (
	VLAN   Kind = iota // a tag of 802.1Q or 802.1ad
	MPLS               // all labels of a stack
	PPPoE              // a session
	GRE                // with anything but Ethernet and ERSPAN
	TEB                // GRE with Ethernet
	ERSPAN             // types I to III
	VXLAN              // VXLAN-GPE as well
	GENEVE
	IPIP // IPv4 and IPv6 in IPv4 and IPv6
	GTPU
	kindCount
	passed // headers that stay, behind which there may be a tunnel
	noKind // there is no tunnel
)

var kindNames = [kindCount]string{"vlan", "mpls", "pppoe", "gre", "teb", "erspan", "vxlan", "geneve", "ipip", "gtpu"}

func (k Kind) String() string { return kindNames[k] }

// kindSet is a set of kinds.
type kindSet uint16

func (s kindSet) has(kind Kind) bool { return s>>kind&1 != 0 }

const allKinds kindSet = 1<<kindCount - 1

func parseKinds(text string) (kinds kindSet, err error) {
words:
	for word := range strings.SplitSeq(text, ",") {
		if word == "all" {
			kinds |= allKinds
			continue
		}
		for kind, name := range kindNames {
			if word == name {
				kinds |= 1 << kind
				continue words
			}
		}
		return 0, fmt.Errorf("%q: wanted all, or a list of %s", word, strings.Join(kindNames[:], ", "))
	}
	if kinds.has(GRE) {
		kinds |= 1 << TEB
	}
	return kinds, nil
}

// reason is why a packet stays in a tunnel.
type reason int

const (
	noReason       reason = iota
	outerFragment         // the outer packet is an IP fragment
	cutInHeaders          // the capture ends within the headers of the tunnel or of the packet inside
	invalidHeader         // the header of the tunnel is not valid, or its version is not known
	unknownPayload        // the protocol of the packet inside is not known
	controlMessage        // the ends of the tunnel talk to each other, without a packet inside
	noLinkHeader          // the link type of the capture cannot hold what is inside
	reasonCount
)

// Decapsulator takes packets out of tunnels. One goroutine uses it, and any goroutine may
// read the counters.
type Decapsulator struct {
	kinds kindSet
	depth int

	removed [kindCount]counter
	kept    [reasonCount]counter
	packets counter
}

// counter is published once for each batch.
type counter struct {
	batch int64
	total atomic.Int64
}

func (c *counter) publish() {
	if c.batch != 0 {
		c.total.Add(c.batch)
		c.batch = 0
	}
}

// NewDecapsulator returns a Decapsulator for a list of kinds, such as gre,vxlan, or for all. The
// word gre also stands for GRE with Ethernet. It removes up to depth nested tunnels, or
// any number if depth is 0.
func NewDecapsulator(list string, depth int) (*Decapsulator, error) {
	kinds, err := parseKinds(list)
	if err != nil {
		return nil, err
	}
	return newDecapsulator(kinds, depth), nil
}

func newDecapsulator(kinds kindSet, depth int) *Decapsulator {
	if depth == 0 {
		depth = math.MaxInt
	}
	return &Decapsulator{kinds: kinds, depth: depth}
}

// Decap replaces each packet that is in a tunnel by the packet inside. All other packets stay
// as they are. The new Data is a part of the old one. A nil Decapsulator does nothing.
//
// A packet inside that has no link header gets that of the outer frame, with its VLAN tags
// unless they are removed. Decap writes it over the headers that it removes. The length on
// the wire is reduced by what is removed.
func (d *Decapsulator) Decap(packets []stream.Packet) {
	if d == nil {
		return
	}
	for i := range packets {
		d.decap(&packets[i])
	}
	d.publish()
}

func (d *Decapsulator) decap(packet *stream.Packet) {
	w := walk{data: packet.Data}
	if !w.start(packet) {
		return
	}
	tunnels := 0
	var inner place
	for tunnels < d.depth {
		kind, why := w.step(d.kinds)
		if why == noReason && kind < kindCount && !w.hasLink() {
			why = noLinkHeader
		}
		if why != noReason {
			d.kept[why].batch++
			break
		}
		if kind == noKind {
			break
		}
		if kind < kindCount {
			d.removed[kind].batch++
			inner = w.place
			tunnels++
		}
	}
	if tunnels > 0 {
		d.packets.batch++
		inner.replace(packet)
	}
}

func (d *Decapsulator) publish() {
	d.packets.publish()
	for i := range d.removed {
		d.removed[i].publish()
	}
	for i := range d.kept {
		d.kept[i].publish()
	}
}

// Record returns the counters, or nil of a nil Decapsulator.
func (d *Decapsulator) Record() *record.Decapsulation {
	if d == nil {
		return nil
	}
	removed := func(kind Kind) int64 { return d.removed[kind].total.Load() }
	kept := func(why reason) int64 { return d.kept[why].total.Load() }
	return &record.Decapsulation{
		Packets: d.packets.total.Load(),
		VLAN:    removed(VLAN), MPLS: removed(MPLS), PPPoE: removed(PPPoE), GRE: removed(GRE), TEB: removed(TEB),
		ERSPAN: removed(ERSPAN), VXLAN: removed(VXLAN), GENEVE: removed(GENEVE), IPIP: removed(IPIP), GTPU: removed(GTPU),
		Kept: record.StillInTunnel{
			Fragment: kept(outerFragment), Cut: kept(cutInHeaders), Header: kept(invalidHeader),
			Payload: kept(unknownPayload), Control: kept(controlMessage), LinkType: kept(noLinkHeader),
		},
	}
}
