package rewrite

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// conversations returns the pairs of addresses, or of addresses with ports, of a capture.
func conversations(t *testing.T, path string, kinds ...string) (pairs [][2]string) {
	t.Helper()
	arguments := []string{"-n", "-q", "-r", path}
	for _, kind := range kinds {
		arguments = append(arguments, "-z", "conv,"+kind)
	}
	output, err := exec.Command("tshark", arguments...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	for line := range strings.Lines(string(output)) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[1] == "<->" {
			pairs = append(pairs, [2]string{fields[0], fields[2]})
		}
	}
	return pairs
}

// moves reports whether an end of a conversation has an address that changes, as
// pcap-replay(7) says.
func moves(end string) bool {
	address, err := netip.ParseAddr(end)
	if err != nil {
		host, _, _ := strings.Cut(end, "]")
		if i := strings.LastIndexByte(end, ':'); i > 0 {
			host = end[:i]
		}
		address = netip.MustParseAddr(strings.Trim(host, "[]"))
	}
	for _, alone := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/8", "fe80::/10", "ff00::/8"} {
		if netip.MustParsePrefix(alone).Contains(address) {
			return false
		}
	}
	return true
}

// N rounds have N times the conversations, as tshark counts them, and the same sizes.
func TestRoundsHaveFlowsOfTheirOwn(t *testing.T) {
	corpus := lab.Corpus(t)
	lab.NeedProgram(t, "tshark")
	total := 0
	for _, name := range []string{
		"PcapPlusPlus/ExamplesTest/pcap_examples/http-packets.pcap", "PcapPlusPlus/ExamplesTest/pcap_examples/ipv6-frag.pcap",
		"PcapPlusPlus/ExamplesTest/pcap_examples/tcp-reassembly.pcap", "PcapPlusPlus/ExamplesTest/pcap_examples/tls.pcap",
	} {
		const count = 5
		packets := lab.ReadCapture(t, filepath.Join(corpus, name))
		r := WithRounds(nil)
		var all []stream.Packet
		for round := range int64(count) {
			r.SetRound(round)
			some := rewrittenBy(r, packets)
			for i := range some {
				if len(some[i].Data) != len(packets[i].Data) || some[i].WireLength != packets[i].WireLength || some[i].Time != packets[i].Time {
					t.Fatalf("%s: round %d: packet %d has another size or time", name, round+1, i+1)
				}
			}
			all = append(all, some...)
		}
		once, often := filepath.Join(t.TempDir(), "once.pcap"), filepath.Join(t.TempDir(), "often.pcap")
		lab.WriteCapture(t, once, packets)
		lab.WriteCapture(t, often, all)
		for _, kinds := range [][]string{{"ip", "ipv6"}, {"tcp", "udp"}} {
			want := 0
			for _, pair := range conversations(t, once, kinds...) {
				want++
				if moves(pair[0]) || moves(pair[1]) {
					want += count - 1
				}
			}
			total += want
			if got := len(conversations(t, often, kinds...)); got != want {
				t.Errorf("%s: %d conversations of %v in %d rounds, wanted %d", name, got, kinds, count, want)
			}
		}
	}
	if total < 100 {
		t.Errorf("%d conversations: too few to tell", total)
	}
}
