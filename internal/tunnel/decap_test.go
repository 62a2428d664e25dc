package tunnel

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Parts of packets, in hexadecimal digits. The IP headers have no length, so that nothing is
// padding.
const (
	macs    = "020000000022 020000000011 "
	ip4     = "45000000 00000000 40630000 0a000001 0a000002 " // protocol 99
	ip6     = "60000000 00006340 fd000000000000000000000000000001 fd000000000000000000000000000002 "
	in4     = "45000000 00000000 40%s0000 0a000003 0a000004 " // in a template: %s is the protocol
	in6     = "60000000 0000%s40 fd000000000000000000000000000003 fd000000000000000000000000000004 "
	inFrame = "02000000aaaa 02000000bbbb 0800 " + ip4
	// authentication is an authentication header before IPv4, without options: RFC 4302.
	authentication = "0402 0000 00000001 00000002 01234567 "
	raw            = stream.LinkTypeRaw
	ether          = stream.LinkTypeEthernet
	cooked         = "0000 0001 0006 0a0b0c0d0e0f0000 "
)

func over(template, protocol string) string { return strings.Replace(template, "%s", protocol, 1) }

func TestDecap(t *testing.T) {
	gre4 := "0800" + over(in4, "2f")
	udp := func(port, data string) string { return "0800" + over(in4, "11") + "1234" + port + "0000 0000" + data }
	vxlan := "12b5"
	for _, c := range []struct {
		name, kinds string
		depth       int
		link        stream.LinkType
		packet      string
		wantLink    stream.LinkType
		want        string // "": as it is
		reason      reason
	}{
		{"none", "all", 0, ether, macs + "0800" + ip4, ether, "", noReason},
		{"unlisted", "vxlan,gtpu", 0, ether, macs + gre4 + "0000 0800" + ip4, ether, "", noReason},

		{"GRE", "gre", 0, ether, macs + gre4 + "0000 0800" + ip4, ether, macs + "0800" + ip4, noReason},
		{"GRE with everything", "gre", 0, ether, macs + gre4 + "b000 86dd 00000000 00000001 00000002" + ip6, ether, macs + "86dd" + ip6, noReason},
		{"GRE with routing", "gre", 0, ether, macs + gre4 + "4000 0800 00000000" + ip4, ether, "", invalidHeader},
		{"PPTP", "gre", 0, ether, macs + gre4 + "2001 880b 00000000" + ip4, ether, "", invalidHeader},
		{"GRE of Ethernet", "gre", 0, ether, macs + gre4 + "0000 6558" + inFrame, ether, inFrame, noReason},
		{"only TEB", "teb", 0, ether, macs + gre4 + "0000 0800" + ip4, ether, "", noReason},
		{"TEB", "teb", 0, ether, macs + gre4 + "2000 6558 00000001" + inFrame, ether, inFrame, noReason},
		{"GRE is not ERSPAN", "gre", 0, ether, macs + gre4 + "0000 88be" + inFrame, ether, "", noReason},
		{"keepalive", "gre", 0, ether, macs + gre4 + "0000 0000", ether, "", unknownPayload},
		{"NHRP", "gre", 0, ether, macs + gre4 + "0000 2001 0001 0800 0000 0000", ether, "", unknownPayload},
		{"wrong version", "gre", 0, ether, macs + gre4 + "0000 86dd" + ip4 + ip4, ether, "", unknownPayload},

		{"ERSPAN I", "erspan", 0, ether, macs + gre4 + "0000 88be" + inFrame, ether, inFrame, noReason},
		{"ERSPAN II", "erspan", 0, ether, macs + gre4 + "1000 88be 00000001 1001 0000 00000000" + inFrame, ether, inFrame, noReason},
		{"ERSPAN III", "erspan", 0, ether, macs + gre4 + "1000 22eb 00000001 2001 0000 00000000 0000 8000" + inFrame, ether, inFrame, noReason},
		{"ERSPAN III without sequence number", "erspan", 0, ether, macs + gre4 + "0000 22eb 2001 0000 00000000 0000 8000" + inFrame, ether, inFrame, noReason},
		{"ERSPAN III with subheader", "erspan", 0, ether, macs + gre4 + "1000 22eb 00000001 2001 0000 00000000 0000 8001 0000000000000000" + inFrame, ether, inFrame, noReason},
		{"ERSPAN III of IP", "erspan", 0, ether, macs + gre4 + "1000 22eb 00000001 2001 0000 00000000 0000 0800" + ip4, ether, macs + "0800" + ip4, noReason},
		{"ERSPAN III of a unknown type", "erspan", 0, ether, macs + gre4 + "1000 22eb 00000001 2001 0000 00000000 0000 1c00" + ip4, ether, "", unknownPayload},
		{"ERSPAN version 3", "erspan", 0, ether, macs + gre4 + "1000 88be 00000001 3001 0000 00000000" + inFrame, ether, "", invalidHeader},

		{"VXLAN", "vxlan", 0, ether, macs + udp(vxlan, "08000000 00000700"+inFrame), ether, inFrame, noReason},
		{"VXLAN, old port", "vxlan", 0, ether, macs + udp("2118", "08000000 00000700"+inFrame), ether, inFrame, noReason},
		{"VXLAN with group", "vxlan", 0, ether, macs + udp(vxlan, "88400123 00000700"+inFrame), ether, inFrame, noReason},
		{"VXLAN without VNI", "vxlan", 0, ether, macs + udp(vxlan, "00000000 00000700"+inFrame), ether, "", invalidHeader},
		{"VXLAN with reserved bits", "vxlan", 0, ether, macs + udp(vxlan, "08000100 00000700"+inFrame), ether, "", invalidHeader},
		{"VXLAN with a reserved byte", "vxlan", 0, ether, macs + udp(vxlan, "08000000 00000701"+inFrame), ether, "", invalidHeader},
		{"VXLAN-GPE", "vxlan", 0, ether, macs + udp("12b6", "0c000002 00000700"+ip6), ether, macs + "86dd" + ip6, noReason},
		{"VXLAN-GPE of NSH", "vxlan", 0, ether, macs + udp("12b6", "0c000004 00000700"+ip6), ether, "", unknownPayload},
		{"VXLAN-GPE OAM", "vxlan", 0, ether, macs + udp("12b6", "0d000003 00000700"+inFrame), ether, "", controlMessage},

		{"GENEVE", "geneve", 0, ether, macs + udp("17c1", "0000 6558 00000700"+inFrame), ether, inFrame, noReason},
		{"GENEVE with options", "geneve", 0, ether, macs + udp("17c1", "0240 0800 00000700 0001000100000000"+ip4), ether, macs + "0800" + ip4, noReason},
		{"GENEVE version 1", "geneve", 0, ether, macs + udp("17c1", "4000 6558 00000700"+inFrame), ether, "", invalidHeader},
		{"GENEVE OAM", "geneve", 0, ether, macs + udp("17c1", "0080 6558 00000700"+inFrame), ether, "", controlMessage},
		{"GENEVE with too many options", "geneve", 0, ether, macs + udp("17c1", "3f00 0800 00000700"+ip4), ether, "", invalidHeader},

		{"GTP-U", "gtpu", 0, ether, macs + udp("0868", "30ff 0014 00000007"+ip4), ether, macs + "0800" + ip4, noReason},
		{"GTP-U with extension headers", "gtpu", 0, ether, macs + udp("0868", "36ff 0020 00000007 0001 00 85 01 0010 c0 01 0000 00"+ip4), ether, macs + "0800" + ip4, noReason},
		{"GTP-U with an extension header of no length", "gtpu", 0, ether, macs + udp("0868", "34ff 001c 00000007 0001 00 85 00 0010 00"+ip4), ether, "", invalidHeader},
		{"GTP-U echo", "gtpu", 0, ether, macs + udp("0868", "3201 0004 00000000 00010000"), ether, "", controlMessage},
		{"GTP version 2", "gtpu", 0, ether, macs + udp("0868", "48ff 0014 00000007"+ip4), ether, "", invalidHeader},

		{"4 in 4", "ipip", 0, ether, macs + "0800" + over(in4, "04") + ip4, ether, macs + "0800" + ip4, noReason},
		{"6 in 4", "ipip", 0, ether, macs + "0800" + over(in4, "29") + ip6, ether, macs + "86dd" + ip6, noReason},
		{"4 in 6", "ipip", 0, ether, macs + "86dd" + over(in6, "04") + ip4, ether, macs + "0800" + ip4, noReason},
		{"6 in 6", "ipip", 0, ether, macs + "86dd" + over(in6, "29") + ip6, ether, macs + "86dd" + ip6, noReason},
		{"behind destination options", "ipip", 0, ether, macs + "86dd" + over(in6, "3c") + "0400010400000000" + ip4, ether, macs + "0800" + ip4, noReason},
		{"behind an authentication header", "ipip", 0, ether, macs + "0800" + over(in4, "33") + authentication + ip4, ether, macs + "0800" + ip4, noReason},
		{"GRE behind two authentication headers", "gre", 0, ether, macs + "0800" + over(in4, "33") + "3302 0000 00000001 00000002 01234567" + "2f02 0000 00000001 00000002 01234567" + "0000 0800" + ip4, ether, macs + "0800" + ip4, noReason},
		{"authentication header in IPv6", "ipip", 0, ether, macs + "86dd" + over(in6, "33") + authentication + ip4, ether, macs + "0800" + ip4, noReason},
		{"first fragment behind an authentication header", "ipip", 0, ether, macs + "0800 45000000 00002000 40330000 0a000003 0a000004" + authentication + ip4, ether, "", outerFragment},
		{"later fragment of an authentication header", "ipip", 0, ether, macs + "0800 45000000 00000010 40330000 0a000003 0a000004" + authentication + ip4, ether, "", noReason},
		{"first fragment", "ipip", 0, ether, macs + "0800 45000000 00002000 40040000 0a000003 0a000004" + ip4, ether, "", outerFragment},
		{"later fragment", "gre", 0, ether, macs + "0800 45000000 00000010 402f0000 0a000003 0a000004" + ip4, ether, "", outerFragment},
		{"fragment of IPv6", "ipip", 0, ether, macs + "86dd" + over(in6, "2c") + "0400000900000001" + ip4, ether, "", outerFragment},
		{"first fragment of UDP", "vxlan", 0, ether, macs + "0800 45000000 00002000 40110000 0a000003 0a000004 1234 12b5 0000 0000 08000000 00000700" + inFrame, ether, "", outerFragment},
		{"later fragment of UDP", "vxlan", 0, ether, macs + "0800 45000000 00000010 40110000 0a000003 0a000004 1234 12b5 0000 0000 08000000 00000700" + inFrame, ether, "", noReason},
		{"without a packet", "ipip", 0, ether, macs + "0800" + over(in4, "04"), ether, "", invalidHeader},

		{"tag", "vlan", 0, ether, macs + "8100 002a 0800" + ip4, ether, macs + "0800" + ip4, noReason},
		{"tags", "vlan", 0, ether, macs + "88a8 002a 8100 002b 0806 0001", ether, macs + "0806 0001", noReason},
		{"outer tag", "vlan", 1, ether, macs + "88a8 002a 8100 002b 0800" + ip4, ether, macs + "8100 002b 0800" + ip4, noReason},
		{"tagged 802.3", "vlan", 0, ether, macs + "8100 002a 0003 424203", ether, macs + "0003 424203", noReason},
		{"tags stay", "gre", 0, ether, macs + "88a8 002a 8100 002b" + gre4 + "0000 86dd" + ip6, ether, macs + "88a8 002a 8100 002b 86dd" + ip6, noReason},
		{"tags of the outer frame", "gre", 0, ether, macs + "8100 002a" + gre4 + "0000 6558" + inFrame, ether, inFrame, noReason},
		{"tags go", "vlan,gre", 0, ether, macs + "88a8 002a 8100 002b" + gre4 + "0000 86dd" + ip6, ether, macs + "86dd" + ip6, noReason},
		{"one tag goes", "all", 1, ether, macs + "88a8 002a 8100 002b" + gre4 + "0000 86dd" + ip6, ether, macs + "8100 002b" + gre4 + "0000 86dd" + ip6, noReason},

		{"labels", "mpls", 0, ether, macs + "8847 00010040 00020140" + ip4, ether, macs + "0800" + ip4, noReason},
		{"labels stay", "gre", 0, ether, macs + "8847 00010140" + over(in4, "2f") + "0000 0800" + ip6[:0] + ip4, ether, macs + "0800" + ip4, noReason},
		{"tag and label", "mpls", 0, ether, macs + "8100 002a 8847 00010140" + ip6, ether, macs + "8100 002a 86dd" + ip6, noReason},
		{"pseudowire with control word", "mpls", 0, ether, macs + "8847 00010140 00000001" + inFrame, ether, inFrame, noReason},
		{"pseudowire without control word", "mpls", 0, ether, macs + "8847 00010140" + inFrame, ether, inFrame, noReason},
		{"pseudowire, associated channel", "mpls", 0, ether, macs + "8847 00010140 10000007 0123456789abcdef0123456789abcdef", ether, "", controlMessage},
		{"pseudowire of something else", "mpls", 0, ether, macs + "8847 00010140 90000007 0123456789abcdef0123456789abcdef", ether, "", unknownPayload},
		{"labels in UDP", "mpls", 0, ether, macs + udp("19eb", "00010040 00020140"+ip4), ether, macs + "0800" + ip4, noReason},
		{"labels in UDP, not MPLS", "mpls", 0, ether, macs + udp("19eb", "00010140 90000007 0123456789abcdef0123456789abcdef"), ether, "", unknownPayload},
		{"labels without end", "mpls", 0, ether, macs + "8847 00010040 00010040", ether, "", invalidHeader},
		{"labels in GRE", "gre", 0, ether, macs + gre4 + "0000 8847 00010140" + ip4, ether, macs + "8847 00010140" + ip4, noReason},
		{"labels in GRE in RAW", "gre", 0, raw, over(in4, "2f") + "0000 8847 00010140" + ip4, raw, "", noLinkHeader},

		{"PPPoE", "pppoe", 0, ether, macs + "8864 1100 0001 0016 0021" + ip4, ether, macs + "0800" + ip4, noReason},
		{"PPPoE with padding", "pppoe", 0, ether, macs + "8864 1100 0001 0016 0021" + ip4 + "000000", ether, macs + "0800" + ip4, noReason},
		{"LCP", "pppoe", 0, ether, macs + "8864 1100 0001 000a c021 0901000800000000", ether, "", controlMessage},
		{"not a session", "pppoe", 0, ether, macs + "8864 1165 0001 0016 0021" + ip4, ether, "", invalidHeader},
		{"PPPoE stays", "ipip", 0, ether, macs + "8864 1100 0001 002a 0021" + over(in4, "04") + ip4, ether, macs + "0800" + ip4, noReason},

		{"two", "all", 0, ether, macs + gre4 + "0000 0800" + over(in4, "29") + ip6, ether, macs + "86dd" + ip6, noReason},
		{"one of two", "all", 1, ether, macs + gre4 + "0000 0800" + over(in4, "29") + ip6, ether, macs + "0800" + over(in4, "29") + ip6, noReason},
		{"only the inner one is listed", "ipip", 0, ether, macs + gre4 + "0000 0800" + over(in4, "29") + ip6, ether, "", noReason},
		{"the inner one is broken", "all", 0, ether, macs + gre4 + "0000 0800" + over(in4, "2f") + "4000 0800" + ip4, ether, macs + "0800" + over(in4, "2f") + "4000 0800" + ip4, invalidHeader},

		{"RAW", "ipip", 0, raw, over(in4, "29") + ip6, raw, ip6, noReason},
		{"RAW becomes Ethernet", "teb", 0, raw, over(in4, "2f") + "0000 6558" + inFrame, ether, inFrame, noReason},
		{"IPV4", "ipip", 0, stream.LinkTypeIPv4, over(in4, "04") + ip4, stream.LinkTypeIPv4, ip4, noReason},
		{"IPV4 becomes RAW", "ipip", 0, stream.LinkTypeIPv4, over(in4, "29") + ip6, raw, ip6, noReason},
		{"NULL", "ipip", 0, stream.LinkTypeNull, "02000000" + over(in4, "29") + ip6, stream.LinkTypeNull, "18000000" + ip6, noReason},
		{"LOOP", "ipip", 0, stream.LinkTypeLoop, "00000018" + over(in6, "04") + ip4, stream.LinkTypeLoop, "00000002" + ip4, noReason},
		{"PPP", "ipip", 0, stream.LinkTypePPP, "ff030021" + over(in4, "29") + ip6, stream.LinkTypePPP, "ff030057" + ip6, noReason},
		{"labels in PPP", "mpls", 0, stream.LinkTypePPP, "0281 00010140" + ip6, stream.LinkTypePPP, "0057" + ip6, noReason},
		{"SLL", "ipip", 0, stream.LinkTypeLinuxSLL, cooked + "0800" + over(in4, "29") + ip6, stream.LinkTypeLinuxSLL, cooked + "86dd" + ip6, noReason},
		{"SLL with tag", "ipip", 0, stream.LinkTypeLinuxSLL, cooked + "8100 002a 0800" + over(in4, "29") + ip6, stream.LinkTypeLinuxSLL, cooked + "8100 002a 86dd" + ip6, noReason},
		{"SLL2", "all", 0, stream.LinkTypeLinuxSLL2, "8100 0000 00000002 0001 00 06 0a0b0c0d0e0f0000 002a 0800" + over(in4, "29") + ip6, stream.LinkTypeLinuxSLL2, "86dd 0000 00000002 0001 00 06 0a0b0c0d0e0f0000" + ip6, noReason},
		{"unknown link type", "all", 0, stream.LinkTypeIEEE80211, over(in4, "04") + ip4, stream.LinkTypeIEEE80211, "", noReason},
	} {
		kinds, err := parseKinds(c.kinds)
		if err != nil {
			t.Fatal(err)
		}
		const lost = 7 // bytes at the end that were not captured
		for _, cut := range []uint32{0, lost} {
			if cut > 0 && (c.want == "" || strings.Contains(c.name, "PPPoE") || strings.HasPrefix(c.name, "GTP-U")) {
				continue // or the length in a header would not be right
			}
			data := unhex(t, c.packet)
			packets := []stream.Packet{{Time: 5, Data: data, WireLength: uint32(len(data)) + cut, LinkType: c.link}}
			want := stream.Packet{Time: 5, Data: data, WireLength: packets[0].WireLength, LinkType: c.link}
			if c.want != "" {
				want.Data, want.LinkType = unhex(t, c.want), c.wantLink
				want.WireLength = uint32(len(want.Data)) + cut
			}
			d := newDecapsulator(kinds, c.depth)
			d.Decap(packets)
			if got := packets[0]; !bytes.Equal(got.Data, want.Data) || got.WireLength != want.WireLength || got.LinkType != want.LinkType || got.Time != 5 {
				t.Errorf("%s:\n%x, %d bytes on the wire, %v; wanted\n%x, %d, %v", c.name, got.Data, got.WireLength, got.LinkType, want.Data, want.WireLength, want.LinkType)
			}
			counted := d.Record()
			if isOut := counted.Packets == 1; isOut != (c.want != "") {
				t.Errorf("%s: %d packets are counted", c.name, counted.Packets)
			}
			for why := range reasonCount {
				if isCounted := d.kept[why].total.Load() == 1; isCounted != (why == c.reason && why != noReason) {
					t.Errorf("%s: reason %d is counted: %v; wanted reason %d", c.name, why, isCounted, c.reason)
				}
			}
		}
	}
}

// TestCutTunnels cuts packets in tunnels at every byte. Where the headers are whole, the packet
// inside comes out, and is as long on the wire as that of the whole packet.
func TestCutTunnels(t *testing.T) {
	for name, packets := range samples(100, true) {
		for _, whole := range packets[:40] {
			d := newDecapsulator(allKinds, 0)
			want := new(lab.Batch).Copy([]stream.Packet{whole})
			d.Decap(want)
			for length := range whole.Data {
				batch := []stream.Packet{whole}
				batch[0].Data = bytes.Clone(whole.Data[:length])
				before := d.packets.total.Load()
				d.Decap(batch)
				got := batch[0]
				if d.packets.total.Load() == before {
					if len(got.Data) != length || got.WireLength != whole.WireLength {
						t.Fatalf("%s: %d of %d bytes: %d bytes, %d on the wire", name, length, len(whole.Data), len(got.Data), got.WireLength)
					}
					continue
				}
				removed := len(whole.Data) - len(want[0].Data)
				if got.WireLength == want[0].WireLength && !bytes.Equal(got.Data, want[0].Data[:length-removed]) {
					t.Fatalf("%s: %d of %d bytes:\n%x\nis no beginning of\n%x", name, length, len(whole.Data), got.Data, want[0].Data)
				}
			}
			if name != "none" && d.kept[cutInHeaders].total.Load() == 0 {
				t.Errorf("%s: no packet is counted as cut", name)
			}
		}
	}
}

func TestKinds(t *testing.T) {
	for text, want := range map[string]kindSet{
		"vlan": 1 << VLAN, "gre": 1<<GRE | 1<<TEB, "teb": 1 << TEB, "vxlan,gtpu": 1<<VXLAN | 1<<GTPU, "all": allKinds, "gre,all": allKinds,
	} {
		if got, err := parseKinds(text); err != nil || got != want {
			t.Errorf("%s: %b, %v; wanted %b", text, got, err, want)
		}
	}
	for _, text := range []string{"", "gre,", "GRE", "vxlan gre", "none"} {
		if got, err := parseKinds(text); err == nil {
			t.Errorf("%q: %b", text, got)
		}
	}
}

func TestWithoutDecapsulator(t *testing.T) {
	var d *Decapsulator
	d.Decap([]stream.Packet{{}})
	if got := d.Record(); got != (*record.Decapsulation)(nil) {
		t.Error(got)
	}
}
