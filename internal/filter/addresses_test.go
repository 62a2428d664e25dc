package filter

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pcap-replay/stream"
)

// networks are count networks of all lengths, some of them within others.
func networks(random *rand.Rand, count int, direction string) []string {
	list := make([]string, count)
	for i := range list {
		if random.IntN(4) == 0 {
			bits := 36 + random.IntN(93)
			var address [16]byte
			for at := range min(bits/8, len(address)) {
				address[at] = byte(random.IntN(3))
			}
			address[0], address[1] = 0x20, 1
			groups := make([]string, 8)
			for at := range groups {
				groups[at] = fmt.Sprintf("%x", binary.BigEndian.Uint16(address[2*at:]))
			}
			list[i] = fmt.Sprintf("%s net %s/%d", direction, strings.Join(groups, ":"), bits)
			continue
		}
		bits := 23 + random.IntN(10)
		address := (10<<24 | random.Uint32()&0x03030303) &^ uint32(1<<(32-bits)-1)
		list[i] = fmt.Sprintf("%s net %d.%d.%d.%d/%d", direction, address>>24, address>>16&255, address>>8&255, address&255, bits)
	}
	return list
}

// addressedPackets are packets of Ethernet with IPv4, IPv6 and ARP.
func addressedPackets(random *rand.Rand, count int) (packets [][]byte) {
	for range count {
		packet := make([]byte, 60)
		for i := range packet {
			packet[i] = byte(random.IntN(4))
		}
		kind, ends := uint16(etherIP), [2]int{14 + 12, 14 + 16}
		switch random.IntN(4) {
		case 0:
			kind, ends = etherARP, [2]int{14 + 14, 14 + 24}
		case 1:
			kind, ends = etherIPv6, [2]int{14 + 8, 14 + 24}
		}
		binary.BigEndian.PutUint16(packet[12:], kind)
		for _, at := range ends {
			if packet[at] = 10; kind == etherIPv6 {
				packet[at], packet[at+1] = 0x20, 1
			}
		}
		packets = append(packets, packet)
	}
	return packets
}

// A table takes the packets that its networks take one by one.
func TestAddressTableMeansTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	packets := addressedPackets(random, 2000)
	for _, direction := range []string{"", "src", "dst", "src or dst", "src and dst", "ip src"} {
		list := networks(random, minAddresses+10, direction)
		if direction == "ip src" {
			list = strings.Split(strings.ReplaceAll(strings.Join(networks(random, 300, "src"), "|"), "src net 10", "ip src net 10"), "|")
			for i := range list {
				if !strings.HasPrefix(list[i], "ip ") {
					list[i] = "ip src net 10.1.0.0/16"
				}
			}
		}
		var alone []*Program
		for _, network := range list {
			program, err := compileFor(network, stream.LinkTypeEthernet)
			if err != nil {
				t.Fatal(network, err)
			}
			alone = append(alone, program)
		}
		for name, text := range map[string]string{
			"list": strings.Join(list, " or "), "behind a term": "len < 0 or " + strings.Join(list, " or "), "before one": strings.Join(list, " or ") + " and ether[0] >= 0",
			"not": "not (" + strings.Join(list, " or ") + ")", "two lists": strings.Join(list[:70], " or ") + " or len < 0 or " + strings.Join(list, " or "),
		} {
			program, err := compileFor(text, stream.LinkTypeEthernet)
			if err != nil {
				t.Fatal(err)
			}
			if hasTable := len(program.sets) > 0; hasTable == (direction == "src and dst") { // of which both ends have to be in one network
				t.Fatalf("%s %s: table %v", direction, name, hasTable)
			}
			matches := 0
			for _, packet := range packets {
				want := false
				for _, one := range alone {
					want = want || one.Match(packet, 60)
				}
				if want {
					matches++
				}
				if name == "not" {
					want = !want
				}
				if got := program.Match(packet, 60); got != want {
					t.Fatalf("%s %s: %x: %v, wanted %v", direction, name, packet, got, want)
				}
			}
			if matches == 0 || matches == len(packets) {
				t.Errorf("%s %s: %d of %d packets match, which shows nothing", direction, name, matches, len(packets))
			}
		}
	}
}

// What is wrong in a list is named as in a shorter one.
func TestAddressTableRefuses(t *testing.T) {
	list := strings.Repeat("net 10.0.0.0/8 or ", 100)
	for text, want := range map[string]string{
		list + "net 10.0.0.1/8":  `column 1805: "10.0.0.1": has bits outside its mask`,
		list + "net 10.0.0.0/33": `column 1814: "33": an IPv4 mask has at most 32 bits`,
		strings.Repeat("ip6 net 10.0.0.0/8 or ", 100) + "ip6 net fe80::/10": `column 9: "10.0.0.0": ip6 cannot be used with an IPv4 address`,
	} {
		if _, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, wanted %s", text[len(text)-30:], err, want)
		}
	}
}

// Whatever an expression of 1 MiB holds, it is compiled or refused within seconds. The
// machine may be slow: the bound is ten times what one core takes.
func TestLongExpressionsTakeSeconds(t *testing.T) {
	repeated := func(text, last string) string { return strings.Repeat(text, (maxText-len(last))/len(text)) + last }
	list := networks(rand.New(rand.NewPCG(3, 4)), 40_000, "")
	text := strings.Join(list, " or ")
	for name, c := range map[string]struct{ text, want string }{
		"networks":       {text[:strings.LastIndex(text[:min(maxText, len(text))], " or ")], ""},
		"terms":          {repeated("tcp or ", "tcp"), "terms, and 1024 are allowed"},
		"and":            {repeated("tcp and ", "tcp"), "terms, and 1024 are allowed"},
		"ports":          {"port " + repeated("1 or ", "1")[5:], "terms, and 1024 are allowed"},
		"minus signs":    {"len = 1" + repeated(" - 1", "")[7:], "more than 10000 operators"},
		"negations":      {"len = " + repeated("- ", "1")[6:], "nested more than 1000 deep"},
		"not":            {repeated("not ", "tcp"), "nested more than 1000 deep"},
		"parentheses":    {repeated("(", "tcp"), "nested more than 1000 deep"},
		"most terms":     {strings.Repeat("tcp[0]=1 and udp[2]=5 or ", maxTerms/2-1) + "tcp", ""},
		"too long":       {repeated("tcp or ", "tcp") + strings.Repeat(" ", 20), "at most 1048576 bytes"},
		"bytes of words": {repeated("a", ""), "wanted a qualifier"},
	} {
		began := time.Now()
		_, err := Parse(c.text)
		if c.want == "" && name == "networks" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %.200v, wanted %q", name, err, c.want)
		}
		if taken := time.Since(began); taken > time.Minute {
			t.Errorf("%s took %v", name, taken)
		}
	}
}
