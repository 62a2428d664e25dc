package rewrite

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// everything flips a bit of every address, MAC address and port, so it is its own inverse.
var everything = map[string][]string{
	"map":  {"0.0.0.0/1=128.0.0.0/1", "128.0.0.0/1=0.0.0.0/1", "::/8=0100::/8", "0100::/8=::/8", "2000::/3=4000::/3", "4000::/3=2000::/3", "fe80::/16=fe81::/16", "fe81::/16=fe80::/16"},
	"port": {"80=8080", "8080=80", "53=443", "443=53"},
}

// perCapture is how many packets of each capture are tested.
const perCapture = 300

// corpusPackets returns packets of all captures, by link type.
func corpusPackets(t *testing.T) map[stream.LinkType][]stream.Packet {
	t.Helper()
	byLink := map[stream.LinkType][]stream.Packet{}
	for _, data := range lab.CorpusCaptures(t) {
		count := 0
		for packet, err := range stream.NewReader(bytes.NewReader(data)).Packets() {
			if err != nil || count == perCapture {
				break
			}
			count++
			kept := *packet
			kept.Data = bytes.Clone(packet.Data)
			of := byLink[packet.LinkType]
			kept.Time = lab.Start + int64(len(of))*1000
			byLink[packet.LinkType] = append(of, kept)
		}
	}
	return byLink
}

// rewritten returns packets by rules. They do not share memory.
func rewritten(t testing.TB, rules map[string][]string, packets []stream.Packet) []stream.Packet {
	t.Helper()
	r, err := New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return rewrittenBy(r, packets)
}

func rewrittenBy(r *Rewriter, packets []stream.Packet) []stream.Packet {
	packets = slices.Clone(packets)
	for i := range packets {
		packets[i].Data = bytes.Clone(packets[i].Data)
		r.Rewrite(packets[i : i+1])
		packets[i].Data = bytes.Clone(packets[i].Data)
	}
	return packets
}

// equalBut0 compares data in which a checksum of 0xffff may have become 0, which is the same
// sum, but not what a sender writes outside UDP: RFC 1624, section 3.
func equalBut0(got, want []byte) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if got[i] != want[i] && (got[i] != 0 || want[i] != 0xff) {
			return false
		}
	}
	return true
}

// A map and its inverse give the same bytes.
func TestMapAndInverseGiveTheSameBytes(t *testing.T) {
	for link, packets := range corpusPackets(t) {
		there := rewritten(t, everything, packets)
		back := rewritten(t, everything, there)
		pushed := rewritten(t, map[string][]string{"vlan": {"push:7", "1=2"}}, packets)
		popped := rewritten(t, map[string][]string{"vlan": {"pop"}}, pushed)
		for i := range packets {
			if !equalBut0(back[i].Data, packets[i].Data) || back[i].WireLength != packets[i].WireLength {
				t.Fatalf("%s: packet %d\n%x becomes\n%x and then\n%x", link, i+1, packets[i].Data, there[i].Data, back[i].Data)
			}
			if len(popped[i].Data) != len(packets[i].Data) || popped[i].WireLength != packets[i].WireLength {
				t.Fatalf("%s: packet %d: %d bytes become %d", link, i+1, len(packets[i].Data), len(popped[i].Data))
			}
		}
	}
}

// A cut packet becomes the beginning of what the whole one becomes, or is counted. Half of a
// checksum stays as it is.
func TestCutPacketsAreChangedOrCounted(t *testing.T) {
	r, err := New(everything)
	if err != nil {
		t.Fatal(err)
	}
	for link, packets := range corpusPackets(t) {
		whole := rewritten(t, everything, packets)
		for i, packet := range packets {
			for length := min(len(packet.Data), 220) - 1; length > 0; length-- {
				cut := packet
				cut.Data = packet.Data[:length]
				missed := r.Missed[Cut].Load()
				got := rewrittenBy(r, []stream.Packet{cut})[0].Data
				if !bytes.Equal(got[:length-1], whole[i].Data[:length-1]) && r.Missed[Cut].Load() == missed {
					t.Fatalf("%s: packet %d: the first %d bytes of\n%x become\n%x, wanted\n%x, or a count", link, i+1, length, packet.Data, got, whole[i].Data[:length])
				}
			}
		}
	}
}

// allowed are the bytes that a map may change, as gopacket finds the headers. It does not
// know all of them.
func allowed(data []byte) (may []bool, isClear bool) {
	may = make([]bool, len(data))
	mark := func(layer gopacket.Layer, from, to int) {
		contents := layer.LayerContents()
		start := cap(data) - cap(contents)
		for i := start + from; i < min(start+to, len(data)); i++ {
			may[i] = true
		}
	}
	parsed := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	for _, layer := range parsed.Layers() {
		switch layer := layer.(type) {
		case *layers.IPv4:
			mark(layer, 10, 4*int(layer.IHL))
		case *layers.IPv6:
			mark(layer, 8, 40)
		case *layers.TCP:
			mark(layer, 16, 18)
		case *layers.UDP:
			mark(layer, 6, 8)
		case *layers.ARP:
			mark(layer, 14, 18)
			mark(layer, 24, 28)
			if layer.HwAddressSize != 6 {
				return nil, false
			}
		case *gopacket.DecodeFailure, *gopacket.Fragment, *layers.PPPoE, *layers.VRRPv2, *layers.OSPFv3, *layers.IPSecAH, *layers.IPv6Destination:
			return nil, false
		default:
			if kind := layer.LayerType(); strings.HasPrefix(kind.String(), "ICMP") || kind == layers.LayerTypeIPv6Routing {
				mark(layer, 0, len(data)) // and what it quotes
			}
		}
	}
	return may, true
}

// A map changes only addresses and checksums.
func TestMapChangesNothingElse(t *testing.T) {
	packets := corpusPackets(t)[stream.LinkTypeEthernet]
	changed, unclear := 0, 0
	for i, after := range rewritten(t, map[string][]string{"map": everything["map"]}, packets) {
		before := packets[i]
		if bytes.Equal(before.Data, after.Data) {
			continue
		}
		changed++
		may, isClear := allowed(bytes.Clone(before.Data))
		if !isClear {
			unclear++
			continue
		}
		for at := range before.Data {
			if before.Data[at] != after.Data[at] && !may[at] {
				t.Fatalf("packet %d: byte %d of\n%x has changed in\n%x", i+1, at, before.Data, after.Data)
			}
		}
	}
	if changed < 10_000 || unclear > changed/10 {
		t.Errorf("%d of %d packets changed, %d of them with unclear headers: too few to tell", changed, len(packets), unclear)
	}
}

// statusFields are what tshark says of checksums.
var statusFields = []string{
	"ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "icmp.checksum.status", "icmpv6.checksum.status",
	"sctp.checksum.status", "dccp.checksum.status", "pim.cksum.status", "vrrp.checksum.status",
}

// keptFields are some of those that must not change.
var keptFields = []string{"frame.len", "ip.ttl", "ip.id", "ip.len", "ipv6.plen", "ipv6.hlim", "tcp.len", "tcp.seq_raw", "udp.length", "icmp.type", "icmpv6.type"}

func tshark(t *testing.T, link stream.LinkType, packets []stream.Packet, fields ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.pcap", link))
	lab.WriteCapture(t, path, packets)
	arguments := []string{"-n", "-r", path, "-T", "fields", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "sctp.checksum:TRUE"}
	for _, field := range fields {
		arguments = append(arguments, "-e", field)
	}
	output, err := exec.Command("tshark", arguments...).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%s: tshark: %v: %s", link, err, exit.Stderr)
	}
	return strings.Split(strings.TrimSuffix(string(output), "\n"), "\n")
}

// Right checksums stay right, and wrong ones stay wrong, as tshark sees them.
func TestChecksumsStayRightOrWrong(t *testing.T) {
	lab.NeedProgram(t, "tshark")
	all := corpusPackets(t)
	states := map[string]int{}
	for _, link := range slices.Sorted(maps.Keys(all)) {
		if !frame.HasNetworkHeader(link) {
			continue
		}
		packets := all[link]
		fields := slices.Concat(statusFields, keptFields)
		before := tshark(t, link, packets, fields...)
		after := tshark(t, link, rewritten(t, map[string][]string{"map": everything["map"], "mac": {"ff:ff:ff:ff:ff:ff=02:00:00:00:00:01"}}, packets), fields...)
		if len(before) != len(packets) || len(after) != len(packets) {
			t.Fatalf("%s: %d and %d lines for %d packets", link, len(before), len(after), len(packets))
		}
		for i := range before {
			for column, state := range strings.Split(before[i], "\t")[:len(statusFields)] {
				states[statusFields[column]+" "+state]++
			}
			if bytes.Contains(packets[i].Data, []byte{0xc9, 1, 0x20, 1}) {
				continue // an option of one byte, which tshark takes for a home address
			}
			if before[i] != after[i] {
				t.Errorf("%s: packet %d: %q becomes %q\n%x", link, i+1, before[i], after[i], packets[i].Data[:min(200, len(packets[i].Data))])
			}
		}
	}
	t.Logf("%v", states)
}
