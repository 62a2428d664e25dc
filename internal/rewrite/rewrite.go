// Package rewrite changes addresses, ports and VLAN tags of packets, and updates their
// checksums.
//
// # What is changed
//
// IP addresses change in IPv4 and IPv6 headers, in IPv4 options and IPv6 routing headers, in
// ARP, in neighbor discovery (targets and prefixes), in ICMP redirects, and in the packet that
// an ICMP or ICMPv6 error quotes. MAC addresses change in the link header, in ARP and in the link-layer
// options of neighbor discovery. Ports change in TCP, UDP and SCTP, and in quoted packets.
// VLAN tags, MPLS labels and PPPoE headers may precede the network header. The contents of
// tunnels are payload, and so are the addresses that DNS, DHCP, FTP and others carry, and
// those of IGMP and MLD.
//
// # Checksums
//
// A checksum is updated by the difference of the words that it covers: RFC 1624. So a wrong
// one stays wrong by the same amount, and that of a packet of which the capture holds only a
// part, or of a fragmented one, is updated as well. A UDP checksum of 0 means that there is
// none, and stays 0.
package rewrite

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// Reason is why a packet was not changed as the rules say.
type Reason int

const (
	Cut      Reason = iota // it ends before the field
	Fragment               // a later fragment has no ports, and the checksum of SCTP needs the whole packet
	Header                 // a header contradicts itself
	LinkType               // the link type has no such field, or is not known
	Length                 // no room for a VLAN tag
	Route                  // an IPv6 routing header of an unknown type has the destination
	Reasons                // number of reasons
)

// Rewriter changes packets by rules. One goroutine uses it, and any goroutine may read the
// counters. A nil Rewriter changes nothing.
type Rewriter struct {
	addresses           networks // IPv4
	addresses6          networks
	macs, ports, ids    networks               // each rule is a network of one number
	source, destination *[frame.MACLength]byte // for all frames
	tags                tagChange
	pushed              uint16 // identifier of a new tag
	changes4, changes6  bool   // anything in IPv4, or in IPv6
	changesARP          bool
	rounds              *rounds // nil without addresses of its own for each round
	hasRules, isIdle    bool    // isIdle: there is nothing to change in this round

	link linkType
	room []byte // holds the packets that have got a tag

	changed bool // of the current packet
	missed  [Reasons]bool

	// Packets that were changed, and those that were not changed as the rules say. A packet
	// may be in both.
	Changed atomic.Int64
	Missed  [Reasons]atomic.Int64
}

// WithRounds makes a Rewriter give each round addresses of its own, after the rules. It makes
// one if there is none. The first round is as captured.
func WithRounds(r *Rewriter) *Rewriter {
	if r == nil {
		r = &Rewriter{isIdle: true}
	}
	r.rounds = &rounds{}
	r.changes4, r.changes6, r.changesARP = true, true, true
	return r
}

// SetRound begins a round, counted from 0. It matters only after WithRounds.
func (r *Rewriter) SetRound(number int64) {
	if r == nil || r.rounds == nil {
		return
	}
	r.rounds.set(uint64(number))
	r.isIdle = number == 0 && !r.hasRules
}

// Record returns the counters for a report, or nil if r is nil.
func (r *Rewriter) Record() *record.Rewritten {
	if r == nil {
		return nil
	}
	return &record.Rewritten{Packets: r.Changed.Load(), Missed: record.NotRewritten{
		Cut: r.Missed[Cut].Load(), Fragment: r.Missed[Fragment].Load(), Header: r.Missed[Header].Load(),
		LinkType: r.Missed[LinkType].Load(), Length: r.Missed[Length].Load(), Route: r.Missed[Route].Load(),
	}}
}

// Explain says how many packets were not changed as the rules say, and why. It is "" if all
// were, or if r is nil.
func (r *Rewriter) Explain() string {
	if r == nil {
		return ""
	}
	var reasons []string
	for reason, text := range [Reasons]string{
		Cut: "cut before the field", Fragment: "fragmented", Header: "with a broken header",
		LinkType: "of a link type without the field", Length: "without room for a tag",
		Route: "with an IPv6 routing header of an unknown type",
	} {
		if count := r.Missed[reason].Load(); count > 0 {
			reasons = append(reasons, fmt.Sprintf("%d %s", count, text))
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return "packets not changed as the flags say: " + strings.Join(reasons, ", ")
}

// Rewrite changes packets where they are. Only one that gets a VLAN tag moves to memory of
// the Rewriter, which is valid until the next call. A nil Rewriter changes nothing.
func (r *Rewriter) Rewrite(packets []stream.Packet) {
	if r == nil || r.isIdle {
		return
	}
	r.room = r.room[:0]
	changed := int64(0)
	for i := range packets {
		r.rewrite(&packets[i])
		if r.changed {
			changed++
		}
	}
	r.Changed.Add(changed)
}

func (r *Rewriter) rewrite(packet *stream.Packet) {
	r.changed = false
	r.learnLink(packet.LinkType)
	r.changeTags(packet)
	r.rewriteMACs(packet)
	if r.changes4 || r.changes6 || r.changesARP {
		r.rewriteNetwork(packet)
	}
	if r.missed != [Reasons]bool{} {
		for reason, missed := range r.missed {
			if missed {
				r.Missed[reason].Add(1)
			}
		}
		r.missed = [Reasons]bool{}
	}
}

// miss notes that a field could not be changed.
func (r *Rewriter) miss(reason Reason) { r.missed[reason] = true }

// networkHeader is frame.NetworkHeader, but faster for the most frequent frames.
func (r *Rewriter) networkHeader(packet *stream.Packet) (network []byte, etherType uint16) {
	if length := r.link.length; length > 0 && len(packet.Data) > length {
		etherType = binary.BigEndian.Uint16(packet.Data[r.link.typeAt:])
		if etherType == frame.EtherTypeIPv4 || etherType == frame.EtherTypeIPv6 {
			return packet.Data[length:], etherType
		}
	}
	return frame.NetworkHeader(packet)
}

// rewriteNetwork changes what follows the link header.
func (r *Rewriter) rewriteNetwork(packet *stream.Packet) {
	network, etherType := r.networkHeader(packet)
	switch etherType {
	case frame.EtherTypeIPv4:
		if r.changes4 {
			r.rewriteIPv4(network, notQuoted)
		}
	case frame.EtherTypeIPv6:
		if r.changes6 {
			r.rewriteIPv6(network, notQuoted)
		}
	case frame.EtherTypeARP, frame.EtherTypeRARP:
		if r.changesARP {
			r.rewriteARP(network)
		}
	case 0:
		switch {
		case !r.link.hasNetwork:
			r.miss(LinkType)
		case len(packet.Data) < r.link.length:
			r.miss(Cut)
		}
	}
}
