package filter

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// linkTypesByName are the supported link types of the tests.
func linkTypesByName() map[string]stream.LinkType {
	byName := map[string]stream.LinkType{}
	for _, link := range supported {
		byName[link.String()] = link
	}
	return byName
}

// libpcapTest is an entry of the files in bpf-filter-tests, which are libpcap's own tests.
type libpcapTest struct {
	Name     string
	DLT      string
	Aliases  []string // expressions that compile to the same program
	Expr     string
	Opt      *string // the program, optimized
	Unopt    *string // and not
	OptUnopt *string // where they are the same
	Netmask  string
	LinuxExt int    `json:"linuxext"`
	Offline  string `json:"generate_offline_filter"`
	ErrStr   string
	SaveFile string
	Results  []int
}

func readLibpcapTests(t *testing.T, name string) (tests []libpcapTest) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.Corpus(t), "bpf-filter-tests", name))
	if err == nil {
		err = json.Unmarshal(text, &tests)
	}
	if err != nil || len(tests) < 100 {
		t.Fatalf("%s: %d tests: %v", name, len(tests), err)
	}
	return tests
}

// parseImage reads a program as bpf_image prints it.
func parseImage(image string) (*referenceProgram, error) {
	codes := map[string]uint32{
		"ld [k]": 0x20, "ldh [k]": 0x28, "ldb [k]": 0x30, "ld [x + k]": 0x40, "ldh [x + k]": 0x48, "ldb [x + k]": 0x50,
		"ld #k": 0x00, "ld #pktlen": 0x80, "ld M[k]": 0x60, "ldx #k": 0x01, "ldx M[k]": 0x61, "ldxb 4*([k]&0xf)": 0xb1,
		"st M[k]": 0x02, "stx M[k]": 0x03, "tax": 0x07, "txa": 0x87, "neg": 0x84, "ret #k": 0x06, "ja k": 0x05,
	}
	for n, name := range []string{"add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "", "mod", "xor"} {
		codes[name+" #k"], codes[name+" x"] = uint32(0x04+16*n), uint32(0x0c+16*n)
	}
	for n, name := range []string{"jeq", "jgt", "jge", "jset"} {
		codes[name+" #k"], codes[name+" x"] = uint32(0x15+16*n), uint32(0x1d+16*n)
	}
	program := referenceProgram{}
	for line := range strings.Lines(image) {
		var at, jt, jf, k int
		line, _, _ = strings.Cut(line, ";")
		line, jumps, _ := strings.Cut(strings.TrimSpace(line), " jt ")
		number, text, _ := strings.Cut(line, " ")
		if _, err := fmt.Sscanf(number, "(%d)", &at); err != nil || at != len(program) {
			return nil, fmt.Errorf("line %q", line)
		}
		if jumps != "" {
			if _, err := fmt.Sscanf(strings.ReplaceAll(jumps, "\tjf", ""), "%d %d", &jt, &jf); err != nil {
				return nil, fmt.Errorf("jumps %q: %w", jumps, err)
			}
			jt, jf = jt-at-1, jf-at-1
		}
		text = strings.Join(strings.Fields(text), " ")
		code, ok := codes[text]
		for start := range len(text) {
			if ok || !isDigit(text[start]) {
				continue
			}
			length := numberLength(text[start:])
			value, _ := parseNumber(text[start : start+length])
			if code, ok = codes[text[:start]+"k"+text[start+length:]]; ok {
				k = int(value)
			}
		}
		if !ok {
			return nil, fmt.Errorf("instruction %q", text)
		}
		if code == 0x05 {
			k -= at + 1
		}
		program = append(program, struct{ code, jt, jf, k uint32 }{code, uint32(jt), uint32(jf), uint32(k)})
	}
	return &program, nil
}

// useTestNames looks names up in the tables that libpcap's tests expect.
func useTestNames(t *testing.T) {
	files := map[*string]string{
		&hostsFile: `
10.20.30.40 eth-ipv4-noipv6.host123.libpcap.test noeth-ipv4-noipv6.host123.libpcap.test
10.20.30.40 eth-ipv4-ipv6.host123.libpcap.test noeth-ipv4-ipv6.host123.libpcap.test # and IPv6
fd00:a1b2:c3d4::1020:3040:5060:7080 eth-ipv4-ipv6.host123.libpcap.test noeth-ipv4-ipv6.host123.libpcap.test
fd00:a1b2:c3d4::1020:3040:5060:7080 noeth-noipv4-ipv6.host123.libpcap.test
192.168.241.3 eth-ipv4x4-noipv6.host357.libpcap.test eth-ipv4x4-ipv6x2.host357.libpcap.test
192.168.242.4 eth-ipv4x4-noipv6.host357.libpcap.test eth-ipv4x4-ipv6x2.host357.libpcap.test
192.168.243.1 eth-ipv4x4-noipv6.host357.libpcap.test eth-ipv4x4-ipv6x2.host357.libpcap.test
192.168.244.2 eth-ipv4x4-noipv6.host357.libpcap.test eth-ipv4x4-ipv6x2.host357.libpcap.test
fd00:a1b2:c3d4::a0b0:c0d0:e0f0:1278 eth-noipv4-ipv6x2.host357.libpcap.test eth-ipv4x4-ipv6x2.host357.libpcap.test
fd00:a1b2:c3d4::a0b0:c0d0:e0f0:3456 eth-noipv4-ipv6x2.host357.libpcap.test eth-ipv4x4-ipv6x2.host357.libpcap.test
`,
		&networksFile: `
net-10-0-0-0.libpcap.test 10.0.0.0
net-10-20-0-0.libpcap.test 10.20.0.0
net-10-20-30-0.libpcap.test 10.20.30.0
`,
		&ethersFile: `
aa:00:04:00:14:0e eth-noipv4-noipv6.host123.libpcap.test
aa:00:04:00:14:0e eth-ipv4-noipv6.host123.libpcap.test
aa:00:04:00:14:0e eth-ipv4-ipv6.host123.libpcap.test
ab:cd:ef:00:00:01 eth-ipv4x4-noipv6.host357.libpcap.test
ab:cd:ef:00:00:01 eth-ipv4x4-ipv6x2.host357.libpcap.test
`,
	}
	for name, text := range files {
		before := *name
		t.Cleanup(func() { *name = before })
		*name = filepath.Join(t.TempDir(), "names")
		if err := os.WriteFile(*name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// exception returns why a test is not compared, or "".
func (test libpcapTest) exception() string {
	isNull := test.DLT == "NULL" || test.DLT == "LOOP"
	switch {
	case len(test.Aliases) > 0 && test.Aliases[0] == "_enumerate_bpf_image":
		return "is no expression"
	case test.LinuxExt != 0:
		return "asks the kernel of the capturing machine"
	case isNull && test.Offline == "" && strings.Contains(test.Name, "_ip"):
		return "is for a live capture, where the address family of IPv6 is the machine's"
	case isNull && strings.Contains(test.Name, "BE_NULL"):
		return "is for a machine of the other byte order"
	case test.DLT == "NULL" && test.Offline == "swapped":
		return "is for a file of the other byte order; both orders are taken for either"
	case test.Netmask != "" && test.Netmask != "0.0.0.0":
		return "is for a netmask, which a capture does not tell"
	case strings.HasPrefix(test.Name, "igrp_88"):
		return "is for systems where IGRP is 88; the usual number is 9"
	case test.Name == "ip_multicast" && test.SaveFile == "":
		return "libpcap before 1.11 takes 240.0.0.0/4 for multicast, too, and is what tcpdump comes with"
	}
	return ""
}

func TestAcceptedByLibpcap(t *testing.T) {
	useTestNames(t)
	links := linkTypesByName()
	compared := 0
	for _, test := range readLibpcapTests(t, "accept.json") {
		link, ok := links[test.DLT]
		if !ok || test.exception() != "" {
			continue
		}
		image, rejectsAll := test.Opt, false
		switch {
		case image == nil && test.OptUnopt != nil:
			image = test.OptUnopt
		case image == nil: // refused by the optimizer
			image, rejectsAll = test.Unopt, true
		}
		reference, err := parseImage(*image)
		if err != nil {
			t.Errorf("%s: %v", test.Name, err)
			continue
		}
		for _, expression := range test.Aliases {
			program, err := compileFor(expression, link)
			if err != nil {
				if !rejectsAll || !strings.Contains(err.Error(), "rejects all packets") {
					t.Errorf("%s: %s %q: %v", test.Name, link, expression, err)
				}
				continue
			}
			compared++
			if differ, first := compareOn(packetsFor(t, link), program, reference); differ > 0 {
				t.Errorf("%s: %s %q: %d packets differ; %s", test.Name, link, expression, differ, first)
			}
		}
	}
	if compared < 1500 {
		t.Errorf("%d expressions compared, wanted 1500", compared)
	}
}

// unsupportedLink replaces the link types of libpcap's tests that are not supported.
const unsupportedLink stream.LinkType = 147

func TestRejectedByLibpcap(t *testing.T) {
	useTestNames(t)
	links := linkTypesByName()
	for _, test := range readLibpcapTests(t, "reject.json") {
		switch {
		case test.Expr == "":
			continue // a file that cannot be opened
		case test.Expr == "ip broadcast":
			continue // refused without a netmask; tcpdump -r uses the netmask 0.0.0.0, as this does
		case test.ErrStr == "protochain not supported":
			continue // supported here
		}
		link, ok := links[test.DLT]
		if !ok {
			link = unsupportedLink
		}
		_, err := compileFor(test.Expr, link)
		if err == nil {
			t.Errorf("%s %q: accepted; libpcap says %s", test.DLT, test.Expr, test.ErrStr)
			continue
		}
		checkRefusal(t, test.Expr, err)
	}
}

func TestAppliedByLibpcap(t *testing.T) {
	useTestNames(t)
	applied := 0
	for _, test := range readLibpcapTests(t, "apply.json") {
		if test.exception() != "" {
			continue
		}
		file, err := stream.Open(filepath.Join(lab.Corpus(t), "libpcap", "filter", test.SaveFile))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		at := 0
		for packet, err := range file.Packets() {
			if err != nil {
				t.Fatalf("%s: %v", test.SaveFile, err)
			}
			if !slices.Contains(supported, packet.LinkType) {
				break
			}
			program, err := compileFor(test.Expr, packet.LinkType)
			if err != nil {
				t.Errorf("%s: %q: %v", test.SaveFile, test.Expr, err)
				break
			}
			if got := program.Match(packet.Data, packet.WireLength); got != (test.Results[at] != 0) {
				t.Errorf("%s: %q: packet %d: %t, wanted %d", test.SaveFile, test.Expr, at, got, test.Results[at])
			}
			at++
			applied++
		}
	}
	if applied < 500 {
		t.Errorf("%d decisions compared, wanted 500", applied)
	}
}
