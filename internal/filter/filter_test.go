package filter

import (
	"fmt"
	"strings"
	"testing"

	"pcap-replay/stream"
)

func TestRefusalsNameTheWord(t *testing.T) {
	for expression, want := range map[string]string{
		"tcp prot 80":             `column 5: "prot": wanted and, or, or the end`,
		"tcp port 70000":          `column 10: "70000": a port is at most 65535`,
		"port 80 and":             `column 12: at the end: wanted a condition`,
		"(tcp or udp":             `column 12: at the end: wanted )`,
		"10.0.0.1":                `column 1: "10.0.0.1": wanted a qualifier such as host or port before it`,
		"tcp or 80":               `column 8: "80": wanted a qualifier such as host or port before it`,
		"tcp[0:3] = 1":            `column 7: "3": a field has 1, 2 or 4 bytes`,
		"tcp[13]":                 `column 8: at the end: wanted a comparison such as = or <`,
		"host nowhere.invalid":    `column 6: "nowhere.invalid": no such host in /etc/hosts; names are not looked up elsewhere`,
		"port nothing":            `column 6: "nothing": no such service in /etc/services`,
		"udp port ssh":            `column 10: "ssh": is not a service of udp`,
		"net 10.1.0.0/8":          `column 5: "10.1.0.0": has bits outside its mask`,
		"host 10.0.0.0/8":         `column 6: "10.0.0.0": a mask needs net`,
		"icmp port 5":             `column 11: "5": icmp has no ports`,
		"ip[0] / 0 = 1":           `column 7: "/": division by zero`,
		"1 << 32 = 0":             `column 3: "<<": shift by more than 31 bits`,
		"tcp $ udp":               `column 5: "$": unexpected character`,
		"tcp and é":               `column 9: "é": unexpected character`,
		"vlan 4096":               `column 6: "4096": a number of vlan is at most 4095`,
		"tcp host 1.2.3.4":        `column 10: "1.2.3.4": tcp cannot be used with an IPv4 address`,
		"ether host 1.2.3.4":      `column 12: "1.2.3.4": wanted a MAC address such as 1:2:3:4:5:6`,
		"host 1:2:3:4:5:6":        `column 6: "1:2:3:4:5:6": a MAC address needs "ether host"`,
		"on eth0":                 `column 1: "on": is for link types that are not supported`,
		"ip[0] = 4294967296":      `column 9: "4294967296": decimal number over 32 bits`,
		"ip[0] = 09":              `column 9: "09": '9' is not an octal digit`,
		"tcp and \\":              `column 9: "\\": no name after the backslash`,
		"wlan type mgt subtype x": `column 23: "x": wanted a subtype or a number`,
		"ip" + strings.Repeat(" and vxlan", 32) + " and ip[0] + ip[1] > 5": `column 1: "ip": the expression needs more than 32 words of memory`,
		"mpls and arp": `column 10: "arp": within mpls, only IPv4 and IPv6 can be distinguished`,
	} {
		_, err := Parse(expression)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v\nwanted %s", expression, err, want)
		}
	}
}

func TestLinkTypeDecidesWhatIsRefused(t *testing.T) {
	for _, test := range []struct {
		expression string
		link       stream.LinkType
		want       string // "" is accepted
	}{
		{"inbound", stream.LinkTypeLinuxSLL, ""},
		{"inbound", stream.LinkTypeEthernet, `column 1: "inbound": link type EN10MB does not record directions`},
		{"vlan 5", stream.LinkTypeLinuxSLL, `column 1: "vlan": link type LINUX_SLL has no VLANs`},
		{"ether host 1:2:3:4:5:6", stream.LinkTypeRaw, `column 12: "1:2:3:4:5:6": link type RAW has no MAC addresses`},
		{"wlan type mgt", stream.LinkTypeEthernet, `column 6: "type": link type EN10MB has no 802.11 header`},
		{"ip6", stream.LinkTypeIPv4, `column 1: "ip6": never matches link type IPV4, so the expression rejects all packets`},
		{"tcp and udp", stream.LinkTypeEthernet, `column 1: "tcp": the expression rejects all packets of link type EN10MB`},
		{"tcp port 80", 195, `column 10: "80": link type IEEE802_15_4 is not supported: only tests of its bytes and its length are`},
		{"len > 60 and link[0] = 5 and ether[2:2] != 7", 195, ""},
		{"", 195, ""},
	} {
		expression, err := Parse(test.expression)
		if err != nil {
			t.Fatalf("%q: %v", test.expression, err)
		}
		_, err = expression.Compile(test.link)
		if err == nil && test.want != "" || err != nil && err.Error() != test.want {
			t.Errorf("%s %q: %v, wanted %s", test.link, test.expression, err, test.want)
		}
	}
}

func mustCompile(t testing.TB, expression string, link stream.LinkType) *Program {
	t.Helper()
	program, err := compileFor(expression, link)
	if err != nil {
		t.Fatalf("%q: %v", expression, err)
	}
	return program
}

func TestLoadOutsideThePacketRejectsIt(t *testing.T) {
	short := make([]byte, 20)
	for _, expression := range []string{"link[20] = 0", "not link[20] = 0", "link[19:2] != 5", "link[17:4] = 0 or len > 0", "not (link[20] = 0 and len > 0)"} {
		if mustCompile(t, expression, stream.LinkTypeEthernet).Match(short, 1500) {
			t.Errorf("%q takes a packet that ends before", expression)
		}
	}
	for _, expression := range []string{"link[19] = 0", "len > 0 or link[20] = 0", "not len = 20", "len = 1500"} {
		if !mustCompile(t, expression, stream.LinkTypeEthernet).Match(short, 1500) {
			t.Errorf("%q rejects the packet", expression)
		}
	}
}

// TestOffsetBeforeRegister: the length of the radio's header is in a register.
func TestOffsetBeforeRegister(t *testing.T) {
	packet := make([]byte, 40)
	packet[2], packet[11] = 12, 7
	for expression, want := range map[string]bool{"ether[-1] = 7": true, "wlan[-1] = 7": true, "wlan[-2:2] = 7": true, "wlan[-12] = 0": true, "wlan[-13] = 0": false} {
		if got := mustCompile(t, expression, stream.LinkTypeIEEE80211Radio).Match(packet, 40); got != want {
			t.Errorf("%q: %t, wanted %t", expression, got, want)
		}
	}
}

func TestNullTakesBothByteOrders(t *testing.T) {
	program := mustCompile(t, "ip6", stream.LinkTypeNull)
	for _, family := range []byte{24, 28, 30} {
		if !program.Match([]byte{family, 0, 0, 0, 0x60}, 5) || !program.Match([]byte{0, 0, 0, family, 0x60}, 5) {
			t.Errorf("address family %d is not taken for IPv6", family)
		}
	}
	if program.Match([]byte{2, 0, 0, 0, 0x60}, 5) {
		t.Error("address family 2 is taken for IPv6")
	}
}

func TestEmptyExpressionTakesAll(t *testing.T) {
	if !mustCompile(t, " \n", stream.LinkTypeEthernet).Match(nil, 0) {
		t.Error("a packet is rejected")
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	packet := make([]byte, 100)
	packet[12], packet[13], packet[14], packet[23] = 8, 0, 0x45, 51
	for _, expression := range []string{"tcp port 80", "protochain 6", "ether[len - 1] + ip[ip[0] & 15] > 3", "geneve and host 1.2.3.4"} {
		program := mustCompile(t, expression, stream.LinkTypeEthernet)
		if n := testing.AllocsPerRun(100, func() { program.Match(packet, 100) }); n != 0 {
			t.Errorf("%q: %v allocations a packet", expression, n)
		}
	}
}

// TestChainThatLeadsBack: libpcap never ends on such a packet.
func TestChainThatLeadsBack(t *testing.T) {
	packet := make([]byte, 100)
	packet[0], packet[9] = 0x45, authentication
	packet[20], packet[21] = authentication, 3 // the next header is this one
	if mustCompile(t, "ip protochain 6", stream.LinkTypeRaw).Match(packet, 100) {
		t.Error("the packet is taken")
	}
}

func TestNamesWithoutFiles(t *testing.T) {
	for _, name := range []*string{&hostsFile, &networksFile, &ethersFile, &servicesFile, &protocolsFile} {
		before := *name
		t.Cleanup(func() { *name = before })
		*name = "/nonexistent/names"
	}
	for _, test := range []struct{ names, numbers string }{
		{"port http", "tcp port 80"},
		{"port www", "tcp port 80"},
		{"port domain", "port 53"},
		{"udp port https", "udp port 443"},
		{"port ntp", "udp port 123"},
		{"portrange http-https", "portrange 80-443"},
		{"portrange netbios-ns-netbios-ssn", "portrange 137-139"},
		{`ip proto \gre`, "ip proto 47"},
		{`proto \ipv6-icmp`, "proto 58"},
		{`ip proto OSPFIGP`, "ip proto 89"},
	} {
		got, want := mustCompile(t, test.names, stream.LinkTypeEthernet), mustCompile(t, test.numbers, stream.LinkTypeEthernet)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q is not %q", test.names, test.numbers)
		}
	}
	if _, err := Parse("host localhost"); err == nil {
		t.Error("a host is found nowhere")
	}
}

func TestNestingAndLengthAreBounded(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 5000) + "tcp" + strings.Repeat(")", 5000),
		strings.Repeat("not ", 5000) + "tcp",
		"ip[" + strings.Repeat("-", 5000) + "1] = 0",
		"port " + strings.Repeat("(", 5000) + "5",
		"vlan " + strings.Repeat("(", 5000) + "5",
		strings.Repeat("tcp or ", maxText),
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), "nested more than") && !strings.Contains(err.Error(), "at most") {
			t.Errorf("%.20q...: %v", text, err)
		}
	}
}

// TestMemoryIsUsedAgain: a sum needs a word or two, however many words its terms
// would fill, and a tree as many as it is deep.
func TestMemoryIsUsedAgain(t *testing.T) {
	tree := "ip[0]"
	for range 10 {
		tree = "(" + tree + " - " + tree + ")"
	}
	for _, expression := range []string{terms(10_000, " + ") + " = 0", nested(100, " + ") + " = 0", nested(100, " - ") + " = " + terms(100, " / "), tree + " = 0"} {
		mustCompile(t, expression, stream.LinkTypeEthernet)
	}
}

// TestManyHosts: a list as long as a file of addresses.
func TestManyHosts(t *testing.T) {
	var text strings.Builder
	text.WriteString("host 10.0.0.0")
	for i := 1; i < 2000; i++ {
		fmt.Fprintf(&text, " or 10.0.%d.%d", i>>8, i&0xff)
	}
	program := mustCompile(t, text.String(), stream.LinkTypeEthernet)
	packet := make([]byte, 60)
	packet[12], packet[14] = 8, 0x45
	for host, want := range map[[4]byte]bool{{10, 0, 0, 0}: true, {10, 0, 7, 207}: true, {10, 0, 7, 208}: false} {
		copy(packet[30:], host[:])
		if got := program.Match(packet, 60); got != want {
			t.Errorf("%v: %t, wanted %t", host, got, want)
		}
	}
}
