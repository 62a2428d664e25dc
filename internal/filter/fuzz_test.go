package filter

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pcap-replay/stream"
)

// FuzzParse parses any text. It checks that nothing panics, that a syntax error names a word of
// the text, and that an expression that is negated twice matches the same packets.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "tcp port 80 or 443", "host 10.0.0.1 and not (1.2.3.4 or 5.6.7.8)", "ip[2:2] - ((ip[0]&0xf)<<2) > 5 % 3 + 1",
		"((((tcp[0] + 1)) = 2))", "net 10.0.0.0 mask 255.0.0.0", "ether host 1:2:3:4:5:6", "ip6 net fe80::/10", "vlan 5 and mpls (3) and pppoes",
		"wlan type mgt subtype beacon", "port \\http", "'", "\\", "1::2::3", "0x", "len-14 > 5", "portrange a-b-c", "é", "not not not", "icmp[icmptype] == icmp-echo",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expression, err := Parse(text)
		if err != nil {
			checkRefusal(t, text, err)
			return
		}
		for _, link := range append(supported, 147) {
			program, err := expression.Compile(link)
			if err != nil {
				checkRefusal(t, text, err)
				continue
			}
			negated, err := compileFor("not (not ("+text+"))", link)
			if isBlank := strings.TrimSpace(text) == ""; err != nil && !isBlank && len(text) < maxText/2 {
				t.Fatalf("%q: negated twice: %v", text, err)
			}
			for _, packet := range oddPackets {
				if matches := program.Match(packet, uint32(len(packet))); err == nil && matches != negated.Match(packet, uint32(len(packet))) {
					t.Fatalf("%q: matches %x: %v, negated twice %v", text, packet, matches, !matches)
				}
			}
		}
	})
}

func checkRefusal(t *testing.T, text string, err error) {
	t.Helper()
	var refusal *SyntaxError
	if !errors.As(err, &refusal) {
		t.Fatalf("%q: %v is no SyntaxError", text, err)
	}
	if refusal.Column < 1 || refusal.Column > len(text)+1 || !strings.HasPrefix(text[refusal.Column-1:], refusal.Word) {
		t.Fatalf("%q: %v: the word is not there", text, err)
	}
	if refusal.Word == "" && strings.Trim(text[refusal.Column-1:], " \t\r\n") != "" && len(text) <= maxText {
		t.Fatalf("%q: %v: no word", text, err)
	}
}

var oddPackets = [][]byte{nil, {0}, make([]byte, 15), []byte(strings.Repeat("\x45", 100)), []byte(strings.Repeat("\x00\xff\x51", 60))}

// FuzzMatch matches any packet. It checks that nothing panics, and that two negations change
// nothing.
func FuzzMatch(f *testing.F) {
	type pair struct {
		expression     string
		plain, negated *Program
	}
	var pairs []pair
	for _, expression := range []string{
		"tcp port 80", "host 10.0.0.1", "ip6 host ::1 and port 5", "protochain 6 or protochain 17", "tcp[tcp[12]>>2:4] = ip[ip[0]&0xf]",
		"1 / ip[0] = 0 or 7 % ip6[5] = 3", "vlan and vlan and tcp", "mpls and mpls and host 1.2.3.4", "pppoes and tcp", "geneve and (ether host 1:2:3:4:5:6 or port 1)",
		"geneve and geneve", "vxlan and ip6", "ether[len - 1] = 0", "ip[-1] = 0 or ether[0xffffffff:4] = 1", "wlan host 1:2:3:4:5:6", "llc", "decnet host 1.1",
		"isis or ipx or atalk or aarp", "wlan ta 1:2:3:4:5:6 and tcp", "stp",
	} {
		for _, link := range supported {
			plain, err := compileFor(expression, link)
			if err != nil {
				continue // not for this link type
			}
			negated, err := compileFor("not (not ("+expression+"))", link)
			if err != nil {
				f.Fatal(err)
			}
			pairs = append(pairs, pair{expression, plain, negated})
		}
	}
	for _, packet := range oddPackets {
		f.Add(packet, uint32(len(packet)))
	}
	f.Fuzz(func(t *testing.T, data []byte, wireLength uint32) {
		for _, p := range pairs {
			if got, want := p.negated.Match(data, wireLength), p.plain.Match(data, wireLength); got != want {
				t.Errorf("not (not (%s)): %v, wanted %v", p.expression, got, want)
			}
		}
	})
}

// FuzzBytecode: a program that is accepted decides as the reference machine does.
func FuzzBytecode(f *testing.F) {
	f.Add("1\n6 0 0 262144\n", []byte{})
	f.Add("4\n40 0 0 12\n21 0 1 2048\n6 0 0 1\n6 0 0 0\n", make([]byte, 14))
	f.Add("9\n48 0 0 14\n84 0 0 15\n100 0 0 2\n7 0 0 0\n72 0 0 14\n2 0 0 3\n97 0 0 3\n29 0 0 0\n22 0 0 0\n", make([]byte, 60))
	f.Add("3\n128 0 0 0\n148 0 0 7\n22 0 0 0\n", []byte{1})
	f.Add("4\n0 0 0 5\n5 0 0 1\n60 0 0 0\n6 0 0 1\n", []byte{1})
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		program, err := ParseBytecode(strings.NewReader(text))
		if err != nil {
			return
		}
		reference, err := parseReference([]byte(strings.TrimSpace(text)))
		if err != nil {
			t.Fatal(err)
		}
		want, err := reference.match(data, 1500)
		if got := program.Match(data, 1500); err != nil || got != want {
			t.Fatalf("%t, wanted %t, %v", got, want, err)
		}
	})
}

// FuzzAgainstLibpcap makes an expression from the bytes and compares it with
// libpcap's program, on packets of the corpus and on the bytes themselves.
func FuzzAgainstLibpcap(f *testing.F) {
	oracle := newLibpcap(f)
	for n := range 40 {
		seed := make([]byte, 60)
		for at := range seed {
			seed[at] = byte(n*37 + at*at*11 + at)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		link := fuzzedLinks[0]
		if len(choices) > 0 {
			link = fuzzedLinks[int(choices[0])%len(fuzzedLinks)]
			choices = choices[1:min(len(choices), longestChoices)]
		}
		m := newMaker(choices, link)
		expression := m.expression(0)
		own := stream.Packet{Data: choices, WireLength: uint32(len(choices)), LinkType: link}
		if message := differs(t, oracle, expression, link, own); message != "" {
			t.Fatalf("%s %q: %s", link, expression, message)
		}
	})
}

// longestChoices keeps expressions short: libpcap's optimizer takes a minute for a
// thousand terms.
const longestChoices = 200

var fuzzedLinks = []stream.LinkType{
	stream.LinkTypeEthernet, stream.LinkTypeEthernet, stream.LinkTypeRaw, stream.LinkTypeLinuxSLL, stream.LinkTypeLinuxSLL2,
	stream.LinkTypePPP, stream.LinkTypeLoop, stream.LinkTypeIPv4, stream.LinkTypeIPv6,
	stream.LinkTypeIEEE80211, stream.LinkTypeIEEE80211Radio, stream.LinkTypeIEEE80211RadioAVS, stream.LinkTypePrismHeader, stream.LinkTypePPI,
}

// differs says how the decisions on an expression differ from libpcap's, or "".
func differs(t *testing.T, oracle *libpcap, expression string, link stream.LinkType, own stream.Packet) string {
	reference, wantErr := oracle.compile(expression, link)
	program, err := compileFor(expression, link)
	packets := []stream.Packet{own}
	for i, packet := range packetsFor(t, link) {
		if i%17 == 0 || len(packet.Data) < 60 && i%3 == 0 {
			packets = append(packets, packet)
		}
	}
	switch {
	case err != nil && wantErr != nil:
		return ""
	case err != nil && strings.Contains(err.Error(), "rejects all packets"):
		for i, packet := range packets {
			if matched, _ := reference.match(packet.Data, packet.WireLength); matched {
				return fmt.Sprintf("%v, but libpcap takes packet %d", err, i)
			}
		}
		return ""
	case err != nil && (strings.Contains(err.Error(), "division by zero") || strings.Contains(err.Error(), "shift by more")):
		return "" // in a part that libpcap has found to be never reached
	case err != nil:
		return fmt.Sprintf("%v, but libpcap accepts", err)
	case errors.Is(wantErr, errRejectsAll):
		// Its optimizer may be wrong: "ip6 net 2001:db8::/33 and ip6 net 2001:db8::/33".
		reference = rejectAll
	case wantErr != nil:
		for reason := range acceptedMore {
			if strings.Contains(wantErr.Error(), reason) {
				return ""
			}
		}
		return fmt.Sprintf("accepted, but libpcap says %v", wantErr)
	}
	differ, first := compareOn(packets, program, reference)
	if differ == 0 {
		return ""
	}
	// Packets that are too short for loads that do not matter may be decided
	// otherwise: the optimizers do not leave out quite the same. Without them
	// nothing may differ.
	optimized := reference
	reference, wantErr = oracle.compile(expression, link, "-O")
	parsed, err := Parse(expression)
	var literal *Program
	if err == nil {
		literal, err = parsed.compile(link, true)
	}
	if err != nil || wantErr != nil {
		return fmt.Sprintf("%d packets differ; %s; %v, %v", differ, first, err, wantErr)
	}
	if literally, first := compareOn(packets, literal, reference); literally > 0 {
		return fmt.Sprintf("%d packets differ literally; %s", literally, first)
	}
	for i, packet := range packets {
		want, err := optimized.match(packet.Data, packet.WireLength)
		got := program.Match(packet.Data, packet.WireLength)
		if err == nil && got != want && got != literal.Match(packet.Data, packet.WireLength) && got != literal.Match(lengthened(packet.Data), packet.WireLength) {
			return fmt.Sprintf("packet %d: %t, wanted %t: % x", i, got, want, packet.Data)
		}
	}
	return ""
}

// lengthened is a packet that is too short for next to no load.
func lengthened(data []byte) []byte { return append(bytes.Clone(data), make([]byte, 1<<17)...) }

// rejectAll is the program that libpcap does not give for such an expression.
var rejectAll = &referenceProgram{{code: 0x06}} // ret #0

// acceptedMore is what libpcap refuses and this does not, with the reason.
var acceptedMore = map[string]string{
	"division by zero":                           "libpcap takes ip[0] for a constant 0 behind a division",
	"modulus by zero":                            "the same",
	"too many registers needed":                  "libpcap keeps every intermediate result in memory",
	"expression is too complex":                  "a limit of libpcap's optimizer",
	"Optimizer error":                            "a bug of libpcap's optimizer",
	"can't generate code with a branch of":       "a limit of 8 bits for jumps",
	"802.11 link-layer types supported only":     "libpcap 1.11 takes PPI for 802.11",
	"frame direction supported only with 802.11": "the same",
}

// maker makes expressions: each choice takes a byte.
type maker struct {
	choices []byte
	wifi    bool
	geneve  bool
}

func newMaker(choices []byte, link stream.LinkType) *maker {
	m := &maker{choices: choices, wifi: isWiFi(link)}
	m.geneve = !m.wifi && m.choose(8) == 1
	return m
}

func (m *maker) choose(n int) int {
	if len(m.choices) == 0 {
		return 0
	}
	c := int(m.choices[0]) % n
	m.choices = m.choices[1:]
	return c
}

func (m *maker) of(options ...string) string { return options[m.choose(len(options))] }

func (m *maker) expression(depth int) string {
	text := m.term(depth)
	for range 4 {
		switch m.choose(4) {
		case 0:
			return text
		case 1:
			text += " and " + m.term(depth)
		case 2:
			text += " or " + m.term(depth)
		case 3:
			text += m.of(" and not ", " or not ", " || ! ") + m.term(depth)
		}
	}
	return text
}

func (m *maker) term(depth int) string {
	if depth > 3 {
		return m.of("tcp", "ip", "udp")
	}
	kinds := 14
	if m.wifi {
		// Where headers are of variable length, libpcap mixes up the registers
		// of arithmetic, geneve and pppoes with those of the headers.
		kinds = 11
	}
	if m.geneve {
		kinds = 12 // no arithmetic, with which it does so, too
	}
	switch m.choose(kinds) {
	case 0:
		return m.of("ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "pim", "vrrp", "ah", "esp",
			"stp", "ipx", "netbeui", "iso", "isis", "l1", "lsp", "atalk", "aarp", "decnet", "lat", "llc", "llc i", "llc s", "llc ui")
	case 1:
		return "(" + m.expression(depth+1) + ")"
	case 2:
		return "not " + m.term(depth+1)
	case 3:
		return m.of("", "ip ", "arp ", "rarp ") + m.of("host ", "src host ", "dst host ", "src ", "src and dst ", "dst or src host ") + m.address()
	case 4:
		return m.of("net ", "src net ", "ip net ", "dst net ") + m.of("10.0.0.0/8", "192.168", "127.0.0.0 mask 255.0.0.0", "10", "224.0.0.0/4", "0.0.0.0/0")
	case 5:
		return m.of("host ", "ip6 host ", "src host ", "ip6 net ", "dst net ") + m.of("::1", "fe80::1", "ff02::2", "2001:db8::10.0.0.1", "::")
	case 6:
		return m.of("net ", "src net ", "ip6 dst net ") + m.of("fe80::/10", "::/0", "ff00::/8", "2001:db8::/33", "::1/128")
	case 7:
		return m.of("", "tcp ", "udp ", "sctp ") + m.of("", "src ", "dst ", "src and dst ") +
			m.of("port 80", "port 53", "port (80 or 443)", "portrange 1-1024", "portrange 50000-6000", "port 0x35", "port domain")
	case 8:
		kind := m.of("proto ", "ip proto ", "ip6 proto ", "ip protochain ", "ip6 protochain ", "protochain ")
		if m.geneve {
			kind = strings.ReplaceAll(kind, "chain", "") // nor this: it leaves its place in a register
		}
		return kind + m.of("6", "17", `\udp`, "58", "0", "51", "44")
	case 9:
		return m.of("ether proto ", "link proto ") + m.of("0x800", `\ip6`, `\arp`, "0x88cc", "66", `\stp`, "0x8100")
	case 10:
		return m.of("ether host ff:ff:ff:ff:ff:ff", "ether src 0:0:0:0:0:0", "ether dst host 01:00:5e:00:00:fb", "broadcast", "multicast",
			"ip multicast", "ip6 multicast", "ip broadcast", "wlan addr1 ff:ff:ff:ff:ff:ff", "wlan ta 0:1:2:3:4:5", "wlan ra ff:ff:ff:ff:ff:ff",
			"wlan addr3 ff:ff:ff:ff:ff:ff", "wlan type mgt", "wlan subtype beacon", "wlan dir tods", "type data subtype qos-data")
	case 11:
		if m.geneve {
			return m.of("geneve", "geneve 5", "vlan")
		}
		return m.of("vlan", "vlan 5", "mpls", "mpls 100", "pppoes", "pppoed", "vlan 0", "pppoes 1", "inbound", "outbound")
	case 12:
		return m.of("less 60", "greater 100", "len > 60", "byte 5 = 0", "byte 0 > 5")
	}
	left := m.of("", "", "len + ") + m.field(depth) + m.of(" + ", " ^ ", " - ", " & 15 + ", " << 2 | ") + m.operand(depth)
	return left + m.of(" = ", " != ", " > ", " < ", " >= ", " <= ", " == ") + m.of("0", m.operand(depth))
}

func (m *maker) address() string {
	return m.of("10.0.0.1", "127.0.0.1", "192.168.1.1", "(10.0.0.1 or 10.0.0.2)", "0.0.0.0", "255.255.255.255", "not 10.0.0.1", "0x7f000001", "10.1", "(1.2.3.4 and 5)")
}

// operand makes arithmetic that is no constant: libpcap folds those only after it
// has decided which tests matter, and packets that are cut short show it.
func (m *maker) operand(depth int) string {
	if depth > 3 {
		return m.of("1", "3", "len")
	}
	switch m.choose(6) {
	case 0:
		return m.of("1", "4", "0x45", "255", "256", "1500", "0xffffffff", "20", "tcp-syn", "6")
	case 1:
		return "len"
	case 2:
		return m.field(depth)
	case 3:
		return m.field(depth) + m.of(" + ", " - ", " * ", " & ", " | ", " ^ ", " << 2 + ", " >> 1 ^ ") + m.operand(depth+1)
	case 4:
		return m.field(depth) + m.of(" / ", " % ") + m.of("3", "16", "len", "7")
	}
	return m.of("-", "", "") + "(" + m.field(depth) + m.of(" + ", " & ", " - ") + m.operand(depth+1) + ")"
}

func (m *maker) field(depth int) string {
	protocol := m.of("ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "ether", "link", "sctp", "igmp", "wlan", "radio")
	index := m.of("0", "1", "2", "4", "6", "8", "9", "12", "13", "16", "20", "40", "-1", "100")
	if m.choose(5) == 4 {
		index = m.operand(depth + 2)
	}
	return protocol + "[" + index + m.of("", ":1", ":2", ":4") + "]"
}
