package filter

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// all makes the corpus tests use every packet, which takes minutes.
var all = flag.Bool("all", false, "compare with libpcap on all packets of the corpus, not just some of each file")

// packetsPerFile limits the time of a run. Further packets of a file are similar.
const packetsPerFile = 25

// corpus is read once, by the first test that needs it.
var corpus struct {
	once    sync.Once
	packets map[stream.LinkType][]stream.Packet
}

// corpusPackets reads the packets of the corpus by link type.
func corpusPackets(folder string) map[stream.LinkType][]stream.Packet {
	packets := map[stream.LinkType][]stream.Packet{}
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer file.Close()
		count := 0
		for packet, err := range stream.NewReader(file).Packets() {
			if err != nil {
				break
			}
			if count++; count > packetsPerFile && !*all {
				break
			}
			kept := *packet
			kept.Data = bytes.Clone(packet.Data)
			packets[packet.LinkType] = append(packets[packet.LinkType], kept)
		}
		return nil
	})
	return packets
}

func packetsOf(t testing.TB, link stream.LinkType) []stream.Packet {
	t.Helper()
	folder := lab.Corpus(t)
	corpus.once.Do(func() { corpus.packets = corpusPackets(folder) })
	return corpus.packets[link]
}

// packetsFor returns packets to try a link type with: its own, those of others as
// far as the corpus has few, and each fourth one cut short somewhere.
func packetsFor(t testing.TB, link stream.LinkType) []stream.Packet {
	if known, ok := triedPackets.Load(link); ok {
		return known.([]stream.Packet)
	}
	packets := slices.Clone(packetsOf(t, link))
	if len(packets) < 500 {
		packets = append(packets, packetsOf(t, stream.LinkTypeEthernet)[:500]...)
	}
	for i, count := 0, len(packets); i < count; i += 4 {
		cut := packets[i]
		cut.Data = cut.Data[:i*7919%(min(len(cut.Data), 90)+1)]
		packets = append(packets, cut)
	}
	triedPackets.Store(link, packets)
	return packets
}

var triedPackets sync.Map // link type to packets

// compare returns the packets on which the two programs differ.
func compareOn(packets []stream.Packet, program *Program, reference *referenceProgram) (differ int, first string) {
	for i, packet := range packets {
		want, err := reference.match(packet.Data, packet.WireLength)
		if err != nil {
			continue
		}
		if got := program.Match(packet.Data, packet.WireLength); got != want {
			if differ++; differ == 1 {
				first = fmt.Sprintf("packet %d: %t, wanted %t: % x", i, got, want, packet.Data[:min(len(packet.Data), 100)])
			}
		}
	}
	return differ, first
}

func TestExpressionsDecideAsLibpcapDoes(t *testing.T) {
	oracle := newLibpcap(t)
	file, err := os.Open(filepath.Join(lab.Corpus(t), "bpf-filter-tests", "expressions.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var expressions []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		_, expression, _ := strings.Cut(lines.Text(), "\t")
		expressions = append(expressions, expression)
	}
	inParallel(t, expressions, func(expression string) {
		for _, link := range supported {
			checkAgainst(t, oracle, expression, link)
		}
	})
}

// Expressions that the fuzzer found, and other corner cases.
func TestOddExpressionsDecideAsLibpcapDoes(t *testing.T) {
	oracle := newLibpcap(t)
	odd := []string{
		"ip[9] = ip[9]", "ip[-1] = 3", "ip[0] & 0 = 0", "ip[0] = 1 or ip[0] != 1", "link[0:2] & 0xff00 > link[2:2] ^ 5",
		"ip[0] % 3 + 1 = 2", "ip[0] ^ 1 & 3 = 2", "5 > ip[0] and 3 <= len", "tcp[-16] = 0 or tcp[20 - 16:2] = 5", "- - ip[8] = 64",
		"ip[8] << len = 0", "len / ip[1] = 5 or len % (ip[8] & 1) = 0", "(ip[0]) = 0x45", "((ip[0] + 1)) >= ((5))",
		"ip6 net fe80::1 and ip6 multicast and ip src 10.1 or not greater 100",
		"0 > len or not dst net fe80::1 or link proto \\stp or not llc ui and link proto \\ip6",
		"pim or greater 100 or src and dst port (80 or 443) and link proto \\stp or byte 5 = 0",
		"net 2001:db8::/33 or dst net 2001:db8::10.0.0.1 and llc and host ff02::2 or net fe80::/10",
		"multicast or not lsp", "wlan ra ff:ff:ff:ff:ff:ff or multicast or net 10.0.0.0/8 or not lsp",
		"src host (1.2.3.4 and 5) or len > 4", "host 10.0.0.1 and (port 80 or 443) or 22", "port 80 or (host 10.0.0.1) or 53",
		"net 0.0.0.0/0", "net ::/0 and not icmp6", "host 0.0.0.0 or 255.255.255.255", "not (tcp or not (udp and not icmp))",
		"mpls 5 and mpls and ip6", "pppoes 1 and ip6 and tcp port 5", "vlan and pppoes and mpls", "vlan or vlan or tcp", "not vlan 5 and not vlan 6",
		"ip protochain 51 or ip6 protochain 58", "ether proto 0 or ether proto 1501", "iso proto 131", "isis proto 20", "decnet src 1.1 or decnet dst 2.3",
		"ip host 10.1 or ip net 10.1.2", "ether src and dst 0:0:0:0:0:0", "udp dst portrange 0-65535", "ip6 src and dst net fe80::/16",
		"tcp portrange 1024-1 or sctp src portrange http-domain", "stp or ipx or netbeui or atalk or aarp", "llc xid or llc i or llc rnr",
		"wlan addr1 ff:ff:ff:ff:ff:ff or addr4 0:0:0:0:0:0", "subtype qos-data or type ctl subtype ack or dir dstods", "wlan[0] & 0x88 = 0x88 and wlan[1] & 3 = 1",
		"ether[-1] = 0", "wlan[-1] = 0", "wlan[-2:2] != 0 or ether[0xfffffffc:4] = 0",
	}
	inParallel(t, odd, func(expression string) {
		for _, link := range supported {
			switch {
			case link == linkTypeCiscoHDLC: // libpcap 1.10 looks for IS-IS in the byte before
			case link == stream.LinkTypePPI && strings.Contains(expression, "type"): // 1.10 has that for the others only
			case link == stream.LinkTypeNull: // packets cut short differ, since both byte orders are looked for
			default:
				checkAgainst(t, oracle, expression, link)
			}
		}
	})
}

// TestLongArithmeticDecidesAsLibpcapDoes: sums from the left may have any length, and those
// from the right need a register of libpcap for each term.
func TestLongArithmeticDecidesAsLibpcapDoes(t *testing.T) {
	oracle := newLibpcap(t)
	var long []string
	for _, operator := range []string{" + ", " - ", " | "} {
		for _, count := range []int{3, 10, 33, 34, 100} {
			long = append(long, terms(count, operator)+" > 5")
		}
		long = append(long, nested(12, operator)+" > 5", terms(12, operator)+" > "+nested(6, operator), nested(6, operator)+" > "+terms(12, operator))
	}
	long = append(long, "5 < ip[0] - ip[1] - ip[2]", "(ip[0] - ip[1] - ip[2]) % (ip[8] - (ip[9] - ip[2])) > 5",
		"ip[0] - ip[1] - ip[2] > 5 and ip[2] = 0 and ip[0] - ip[1] = 69", "ip[ip[0] - ip[1] - ip[8] & 15] - (ip[2] - ip[3] - ip[4]) > 5")
	inParallel(t, long, func(expression string) {
		for _, link := range []stream.LinkType{stream.LinkTypeEthernet, stream.LinkTypeRaw, stream.LinkTypeLinuxSLL} {
			checkAgainst(t, oracle, expression, link)
		}
	})
}

// terms are loads joined from the left, and nested are loads joined from the right.
func terms(count int, operator string) string {
	text := "ip[0]"
	for i := 1; i < count; i++ {
		text += fmt.Sprintf("%sip[%d]", operator, i%20)
	}
	return text
}

func nested(count int, operator string) string {
	return strings.ReplaceAll(terms(count, operator), operator, operator+"(") + strings.Repeat(")", count-1)
}

// inParallel calls do for each expression, on all cores.
func inParallel(t *testing.T, expressions []string, do func(expression string)) {
	if len(expressions) == 0 {
		t.Fatal("no expressions")
	}
	lab.Corpus(t) // the packets of the comparison; only here can the test be skipped
	var group sync.WaitGroup
	queue := make(chan string)
	for range runtime.NumCPU() {
		group.Go(func() {
			for expression := range queue {
				do(expression)
			}
		})
	}
	for _, expression := range expressions {
		queue <- expression
	}
	close(queue)
	group.Wait()
}

func checkAgainst(t *testing.T, oracle *libpcap, expression string, link stream.LinkType) {
	reference, wantErr := oracle.compile(expression, link)
	program, err := compileFor(expression, link)
	switch {
	case wantErr != nil && err != nil:
	case errors.Is(wantErr, errRejectsAll):
		for _, packet := range packetsFor(t, link) {
			if program.Match(packet.Data, packet.WireLength) {
				t.Errorf("%s %q: takes a packet, libpcap none", link, expression)
				return
			}
		}
	case wantErr != nil:
		t.Errorf("%s %q: accepted, but libpcap says %v", link, expression, wantErr)
	case err != nil:
		t.Errorf("%s %q: %v", link, expression, err)
	default:
		if differ, first := compareOn(packetsFor(t, link), program, reference); differ > 0 {
			t.Errorf("%s %q: %d packets differ; %s", link, expression, differ, first)
		}
	}
}

func compileFor(expression string, link stream.LinkType) (*Program, error) {
	parsed, err := Parse(expression)
	if err != nil {
		return nil, err
	}
	return parsed.Compile(link)
}
