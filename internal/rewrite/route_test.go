package rewrite

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// sumOf is the Internet checksum of the words in all parts, each of an even length.
func sumOf(parts ...[]byte) uint16 {
	difference := uint64(0)
	for _, part := range parts {
		for ; len(part) > 1; part = part[2:] {
			difference += uint64(binary.BigEndian.Uint16(part))
		}
	}
	return frame.UpdateChecksum(0xffff, difference)
}

// Hops, and those that routeRules make of them. Each network changes other bits, so that a
// checksum shows which of the addresses it covers.
const (
	source4, hop4, final4 = "0a000001", "0b000002", "0c000003"
	source6, hop6, final6 = "2001000a000000000000000000000001", "2001000b000000000000000000000002", "2001000c000000000000000000000003"
)

var routeRules = map[string][]string{"map": {
	"10.0.0.0/8=20.0.0.0/8", "11.0.0.0/8=33.0.0.0/8", "12.0.0.0/8=70.0.0.0/8",
	"2001:a::/32=3001:aa::/32", "2001:b::/32=4001:bbb::/32", "2001:c::/32=5001:c0c0::/32",
}}

// ip4 is an IPv4 packet with options and a UDP datagram, whose checksum covers the final
// destination.
func ip4(t testing.TB, destination, options, final string) []byte {
	header := unhex(t, "4500 0000 0001 0000 4011 0000"+source4+destination+options)
	datagram := unhex(t, "c350 1389 000c 0000 01020304")
	binary.BigEndian.PutUint16(datagram[6:], sumOf(datagram, unhex(t, source4+final+"0011 000c")))
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+len(datagram)))
	header[0] = 0x40 | byte(len(header)/4)
	binary.BigEndian.PutUint16(header[10:], sumOf(header))
	return slices.Concat(header, datagram)
}

// ip6 is an IPv6 packet with one extension header and a UDP datagram, whose checksum covers
// both addresses.
func ip6(t testing.TB, protocol, extension, source, final string) []byte {
	after := unhex(t, extension+"c350 1389 000c 0000 01020304")
	datagram := after[len(after)-12:]
	binary.BigEndian.PutUint16(datagram[6:], sumOf(datagram, unhex(t, source+final+"0011 000c")))
	header := unhex(t, "6000 0000 0000"+protocol+"40"+source6+hop6)
	binary.BigEndian.PutUint16(header[4:], uint16(len(after)))
	return slices.Concat(header, after)
}

// Checksums cover the final destination of a route that is not finished. tshark says so
// before and after the change, and every address has changed in place.
func TestRoutesAreChanged(t *testing.T) {
	lab.NeedProgram(t, "tshark")
	type routed struct {
		name   string
		packet []byte
	}
	route := func(kind string, left int, more string) string {
		addresses := strings.ReplaceAll(more, " ", "")
		return fmt.Sprintf("11 %02x %s %02x %s", len(addresses)/2/8, kind, left, addresses)
	}
	all := []routed{
		{"loose route", ip4(t, hop4, "01 83 0b 04"+hop4+final4, final4)},
		{"loose route at its last hop", ip4(t, hop4, "01 83 0b 08"+hop4+final4, final4)},
		{"finished loose route", ip4(t, final4, "01 83 0b 0c"+hop4+hop4, final4)},
		{"strict route", ip4(t, hop4, "01 89 0b 04"+hop4+final4, final4)},
		{"route at an odd offset", ip4(t, hop4, "83 0b 04"+hop4+final4+"00", final4)},
		{"two options at odd offsets", ip4(t, hop4, "83 07 04"+final4+"07 0b 08"+source4+hop4+"0000", final4)},
		{"recorded route", ip4(t, final4, "01 07 0f 0c"+hop4+source4+"0a0a0a0a", final4)},
		{"timestamps", ip4(t, final4, "44 14 0d 01"+hop4+"00000001"+"0a0a0a0a 00000000", final4)},
		{"timestamps of given hosts", ip4(t, final4, "44 14 0d 03"+hop4+"00000001"+final4+"00000000", final4)},
		{"timestamps alone", ip4(t, final4, "44 0c 0d 00 0b000001 0c000001", final4)},
		{"IPv6 source route", ip6(t, "2b", route("00", 1, "00000000"+hop6+final6), source6, final6)},
		{"finished IPv6 source route", ip6(t, "2b", route("00", 0, "00000000"+final6+final6), source6, hop6)},
		{"mobility", ip6(t, "2b", route("02", 1, "00000000"+final6), source6, final6)},
		{"segments", ip6(t, "2b", route("04", 1, "01000000"+final6+hop6), source6, final6)},
		{"finished segments", ip6(t, "2b", route("04", 0, "01000000"+final6+hop6), source6, hop6)},
		{"home address", ip6(t, "3c", "11 02 01 02 0000 c9 10"+final6, final6, hop6)},
		{"home address at an odd offset", ip6(t, "3c", "11 02 00 c9 10"+final6+"01 01 00", final6, hop6)},
	}
	own := len(all)
	for _, c := range all[:own] {
		all = append(all, routed{c.name + ", quoted", quoting(t, c.packet)})
	}
	packets := make([]stream.Packet, len(all))
	for i, c := range all {
		etherType := map[byte]string{4: "0800", 6: "86dd"}[c.packet[0]>>4]
		packets[i] = ethernet(t, macs+etherType+hex.EncodeToString(c.packet))
	}
	after := rewritten(t, routeRules, packets)
	statusBefore, statusAfter := tshark(t, stream.LinkTypeEthernet, packets, statusFields...), tshark(t, stream.LinkTypeEthernet, after, statusFields...)
	replacer := strings.NewReplacer("0a000001", "14000001", "0b000002", "21000002", "0c000003", "46000003",
		"2001000a0000", "300100aa0000", "2001000b0000", "40010bbb0000", "2001000c0000", "5001c0c00000")
	for i, c := range all {
		// Of a quoted packet, tshark does not see the final destination.
		if i < own && strings.Contains(statusBefore[i], "0") || !strings.Contains(statusBefore[i], "1") {
			t.Errorf("%s: tshark says %q of the packet of this test: %x", c.name, statusBefore[i], packets[i].Data)
		}
		if statusAfter[i] != statusBefore[i] {
			t.Errorf("%s: tshark says %q and then %q\n%x", c.name, statusBefore[i], statusAfter[i], after[i].Data)
		}
		want, got := unhex(t, replacer.Replace(hex.EncodeToString(packets[i].Data))), bytes.Clone(after[i].Data)
		if different := differences(got, want); different > 4*2 { // the checksums of two IP headers, of ICMP and of UDP
			t.Errorf("%s: %d bytes differ:\n%x, wanted, but for checksums,\n%x", c.name, different, got, want)
		}
	}
}

func differences(a, b []byte) (count int) {
	for i := range a {
		if a[i] != b[i] {
			count++
		}
	}
	return count
}

// quoting is an ICMP or ICMPv6 error about a packet.
func quoting(t testing.TB, packet []byte) []byte {
	message := slices.Concat(unhex(t, "0304 0000 0000 0000"), packet)
	if packet[0]>>4 == 6 {
		message[0], message[1] = 1, 0
		pseudo := unhex(t, hop6+source6+"0000 0000 003a")
		binary.BigEndian.PutUint16(pseudo[len(pseudo)-4:], uint16(len(message)))
		binary.BigEndian.PutUint16(message[2:], sumOf(message, pseudo))
		header := unhex(t, "6000 0000 0000 3a 40"+hop6+source6)
		binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
		return slices.Concat(header, message)
	}
	binary.BigEndian.PutUint16(message[2:], sumOf(message))
	header := unhex(t, "4500 0000 0001 0000 4001 0000"+hop4+source4)
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+len(message)))
	binary.BigEndian.PutUint16(header[10:], sumOf(header))
	return slices.Concat(header, message)
}
