package rewrite

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"pcap-replay/internal/frame"
)

// Flags are the names of the flags whose values New reads.
var Flags = []string{"map", "src-mac", "dst-mac", "mac", "vlan", "port"}

// New returns a Rewriter of rules: the values of each flag. Errors begin with the flag.
func New(rules map[string][]string) (*Rewriter, error) {
	r := &Rewriter{hasRules: true}
	parsers := map[string]func(values []string) error{
		"map": r.parseMaps, "src-mac": parseInto(&r.source), "dst-mac": parseInto(&r.destination),
		"mac": r.parseMACs, "vlan": r.parseTags, "port": r.parsePorts,
	}
	for _, flag := range Flags {
		if err := parsers[flag](rules[flag]); err != nil {
			return nil, fmt.Errorf("--%s %w", flag, err)
		}
	}
	r.changes4 = !r.addresses.isEmpty() || !r.ports.isEmpty()
	r.changes6 = !r.addresses6.isEmpty() || !r.ports.isEmpty() || !r.macs.isEmpty()
	r.changesARP = !r.addresses.isEmpty() || !r.macs.isEmpty()
	return r, nil
}

// ruleSet are the networks of a flag. No two of them may be the same.
type ruleSet struct {
	networks []network
	texts    map[[2]number]string // by the first and the last number
}

func (s *ruleSet) add(text string, rule network) error {
	bounds := [2]number{rule.first, rule.last}
	if other, isKnown := s.texts[bounds]; isKnown {
		return fmt.Errorf("%q: the rule %q replaces the same value: wanted one of them", text, other)
	}
	if s.texts == nil {
		s.texts = map[[2]number]string{}
	}
	s.networks, s.texts[bounds] = append(s.networks, rule), text
	return nil
}

// parseMaps reads values such as 10.1.0.0/16=192.168.0.0/16.
func (r *Rewriter) parseMaps(values []string) error {
	var rules, rules6 ruleSet
	for _, text := range values {
		before, after, _ := strings.Cut(text, "=")
		old, err := parseNetwork(before)
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		replacement, err := parseNetwork(after)
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		if old.Addr().Is4() != replacement.Addr().Is4() {
			return fmt.Errorf("%q: an IPv4 and an IPv6 network: wanted two of the same kind", text)
		}
		if old.Bits() != replacement.Bits() {
			return fmt.Errorf("%q: prefixes of %d and %d bits: wanted equal lengths", text, old.Bits(), replacement.Bits())
		}
		to := &rules
		if old.Addr().Is6() {
			to = &rules6
		}
		if err := to.add(text, networkOf(old, replacement)); err != nil {
			return err
		}
	}
	r.addresses, r.addresses6 = newNetworks(rules.networks), newNetworks(rules6.networks)
	return nil
}

// parseNetwork reads a network, or an address, which is a network of its own.
func parseNetwork(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if address, addressErr := netip.ParseAddr(text); addressErr == nil && address.Zone() == "" {
		prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	switch {
	case err != nil:
		return prefix, fmt.Errorf("wanted OLD=NEW, two networks such as 10.1.0.0/16=192.168.0.0/16")
	case prefix != prefix.Masked():
		return prefix, fmt.Errorf("%s has bits after its prefix: wanted the network %s or the address %s", text, prefix.Masked(), prefix.Addr())
	}
	return prefix, nil
}

func networkOf(old, replacement netip.Prefix) network {
	first := old.Addr().AsSlice()
	last := old.Addr().AsSlice()
	for bit := old.Bits(); bit < old.Addr().BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	start := numberOf(first)
	return network{first: start, last: numberOf(last), flip: start.xor(numberOf(replacement.Addr().AsSlice())), length: old.Bits()}
}

// single is a rule for one number.
func single(old, replacement number) network {
	return network{first: old, last: old, flip: old.xor(replacement)}
}

func parseMAC(text string) (mac [frame.MACLength]byte, err error) {
	address, err := net.ParseMAC(text)
	if err != nil || len(address) != len(mac) {
		return mac, fmt.Errorf("wanted a MAC address such as 02:00:00:00:00:01")
	}
	return [frame.MACLength]byte(address), nil
}

// parseInto returns a parser of a single MAC address.
func parseInto(dst **[frame.MACLength]byte) func(values []string) error {
	return func(values []string) error {
		for _, text := range values {
			mac, err := parseMAC(text)
			if err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
			*dst = &mac
		}
		return nil
	}
}

// parseMACs reads values such as 02:00:00:00:00:01=02:00:00:00:00:02.
func (r *Rewriter) parseMACs(values []string) error {
	var rules ruleSet
	for _, text := range values {
		before, after, _ := strings.Cut(text, "=")
		old, err := parseMAC(before)
		replacement, errAfter := parseMAC(after)
		if err != nil || errAfter != nil {
			return fmt.Errorf("%q: wanted OLD=NEW, two MAC addresses such as 02:00:00:00:00:01=02:00:00:00:00:02", text)
		}
		if err := rules.add(text, single(numberOf(old[:]), numberOf(replacement[:]))); err != nil {
			return err
		}
	}
	r.macs = newNetworks(rules.networks)
	return nil
}

// parsePair reads two numbers such as 80=8080.
func parsePair(text string, most uint64) (old, replacement uint64, ok bool) {
	before, after, _ := strings.Cut(text, "=")
	old, err := strconv.ParseUint(before, 10, 16)
	replacement, errAfter := strconv.ParseUint(after, 10, 16)
	return old, replacement, err == nil && errAfter == nil && max(old, replacement) <= most
}

// parsePorts reads values such as 80=8080.
func (r *Rewriter) parsePorts(values []string) error {
	var rules ruleSet
	for _, text := range values {
		old, replacement, ok := parsePair(text, 65535)
		if !ok {
			return fmt.Errorf("%q: wanted OLD=NEW, two ports from 0 to 65535 such as 80=8080", text)
		}
		if err := rules.add(text, single(number{low: old}, number{low: replacement})); err != nil {
			return err
		}
	}
	r.ports = newNetworks(rules.networks)
	return nil
}

// maxVLAN is the largest VLAN identifier. 4095 is reserved: IEEE 802.1Q, table 9-2.
const maxVLAN = 4094

// parseTags reads values such as push:7, pop and 7=8.
func (r *Rewriter) parseTags(values []string) error {
	var rules ruleSet
	for _, text := range values {
		pushed, isPush := strings.CutPrefix(text, "push:")
		if isPush || text == "pop" {
			if r.tags != keepTags {
				return fmt.Errorf("%q: wanted only one pop or push:ID", text)
			}
			r.tags = popTag
		}
		if text == "pop" {
			continue
		}
		if isPush {
			id, err := strconv.ParseUint(pushed, 10, 16)
			if err != nil || id > maxVLAN {
				return fmt.Errorf("%q: wanted an identifier from 0 to %d", text, maxVLAN)
			}
			r.tags = pushTag
			r.pushed = uint16(id)
			continue
		}
		old, replacement, ok := parsePair(text, maxVLAN)
		if !ok {
			return fmt.Errorf("%q: wanted push:ID, pop or OLD=NEW with identifiers from 0 to %d", text, maxVLAN)
		}
		if err := rules.add(text, single(number{low: old}, number{low: replacement})); err != nil {
			return err
		}
	}
	r.ids = newNetworks(rules.networks)
	return nil
}
