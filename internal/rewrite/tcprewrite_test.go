package rewrite

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// tcprewrite changes the same bytes. It also computes checksums anew, and takes the padding
// of short frames for data, so both begin with what it has made of a capture.
func TestRewriterAgreesWithTcprewrite(t *testing.T) {
	corpus := lab.Corpus(t)
	lab.NeedProgram(t, "tcprewrite", "tcpprep")
	folder := t.TempDir()
	changed := 0
	for _, name := range []string{
		"PcapPlusPlus/ExamplesTest/pcap_examples/http-packets.pcap", "PcapPlusPlus/ExamplesTest/pcap_examples/http-packets2.pcap",
		"PcapPlusPlus/ExamplesTest/pcap_examples/tcp-reassembly.pcap", "ITI-ICS/pcaps/ModbusTCP/ModbusTCP.pcap",
	} {
		path, cache := filepath.Join(folder, "capture.pcap"), filepath.Join(folder, "cache")
		tcprewrite(t, "--fixcsum", filepath.Join(corpus, name), path)
		if output, err := exec.Command("tcpprep", "--cidr=172.16.0.0/12", "-i", path, "-o", cache).CombinedOutput(); err != nil {
			t.Fatalf("tcpprep: %v: %s", err, output)
		}
		packets := lab.ReadCapture(t, path)
		for _, c := range []struct {
			theirs string
			ours   map[string][]string
		}{
			{"--portmap=80:8080,443:8443", map[string][]string{"port": {"80=8080", "443=8443"}}},
			{"--enet-smac=02:00:00:00:00:07 --enet-dmac=02:00:00:00:00:08", map[string][]string{"src-mac": {"02:00:00:00:00:07"}, "dst-mac": {"02:00:00:00:00:08"}}},
			{"--enet-vlan=add --enet-vlan-tag=7 --enet-vlan-cfi=0 --enet-vlan-pri=0", map[string][]string{"vlan": {"push:7"}}},
			{
				"--pnat=10.0.0.0/8:20.0.0.0/8,192.168.0.0/16:172.20.0.0/16,141.0.0.0/8:142.0.0.0/8",
				map[string][]string{"map": {"10.0.0.0/8=20.0.0.0/8", "192.168.0.0/16=172.20.0.0/16", "141.0.0.0/8=142.0.0.0/8"}},
			},
			{"--enet-vlan=del", map[string][]string{"vlan": {"pop"}}},
			{"--endpoints=10.1.1.1:10.2.2.2 --cachefile=" + cache, map[string][]string{"map": {
				"172.16.133.54=10.1.1.1", "23.21.118.18=10.2.2.2", "172.16.133.254=10.1.1.1", "172.16.128.233=10.2.2.2",
			}}},
		} {
			if strings.HasPrefix(c.theirs, "--endpoints") && !strings.HasSuffix(name, "tcp-reassembly.pcap") {
				continue // only this one has so few hosts
			}
			theirs := filepath.Join(folder, "theirs.pcap")
			tcprewrite(t, c.theirs, path, theirs)
			want, got := lab.ReadCapture(t, theirs), rewritten(t, c.ours, packets)
			if len(got) != len(want) {
				t.Fatalf("%s: %d packets, wanted %d", name, len(got), len(want))
			}
			different := 0
			for i := range want {
				if !bytes.Equal(got[i].Data, packets[i].Data) {
					changed++
				}
				if !bytes.Equal(got[i].Data, want[i].Data) {
					if different++; different < 4 {
						t.Errorf("%s %s: packet %d:\n%x, wanted\n%x, from\n%x", name, c.theirs, i+1, head(got[i].Data), head(want[i].Data), head(packets[i].Data))
					}
				}
			}
			if different > 0 {
				t.Errorf("%s %s: %d of %d packets differ", name, c.theirs, different, len(want))
			}
		}
	}
	if changed < 10_000 {
		t.Errorf("%d packets changed: too few to tell", changed)
	}
}

func tcprewrite(t *testing.T, flags, path, to string) {
	t.Helper()
	arguments := append(strings.Fields(flags), "-i", path, "-o", to)
	if output, err := exec.Command("tcprewrite", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("tcprewrite %s: %v: %s", flags, err, output)
	}
}

func head(data []byte) []byte { return data[:min(len(data), 80)] }

// plainPackets are those of the corpus that tcprewrite handles like this package: TCP and UDP in
// IPv4 without options, whole and without padding. It leaves IPv4 options and the packets that
// ICMP errors quote alone, and what follows PPPoE, and does not compute the checksum of VRRP.
func plainPackets(t *testing.T) (packets []stream.Packet) {
	for _, packet := range corpusPackets(t)[stream.LinkTypeEthernet] {
		data := packet.Data
		const offset = 14
		if len(data) < offset+40 || data[12] != 8 || data[13] != 0 || data[offset] != 0x45 || int(packet.WireLength) != len(data) {
			continue
		}
		ip := data[offset:]
		isWhole := int(binary.BigEndian.Uint16(ip[2:])) == len(ip) && binary.BigEndian.Uint16(ip[6:])&0x3fff == 0
		switch {
		case isWhole && ip[9] == frame.ProtocolTCP, isWhole && ip[9] == frame.ProtocolUDP && int(binary.BigEndian.Uint16(ip[24:])) == len(ip)-20:
			packets = append(packets, packet)
		}
	}
	return packets
}

// tcprewrite makes the same of the packets of all captures.
func TestRewriterAgreesWithTcprewriteOnTheCorpus(t *testing.T) {
	lab.NeedProgram(t, "tcprewrite")
	folder := t.TempDir()
	path, fixed := filepath.Join(folder, "plain.pcap"), filepath.Join(folder, "fixed.pcap")
	lab.WriteCapture(t, path, plainPackets(t))
	tcprewrite(t, "--fixcsum", path, fixed)
	packets := lab.ReadCapture(t, fixed)
	for _, c := range []struct {
		theirs string
		ours   map[string][]string
	}{
		// No address becomes a multicast address: tcprewrite then changes the MAC address as well.
		{
			"--pnat=0.0.0.0/2:64.0.0.0/2,64.0.0.0/2:0.0.0.0/2,128.0.0.0/3:160.0.0.0/3,160.0.0.0/3:128.0.0.0/3",
			map[string][]string{"map": {"0.0.0.0/2=64.0.0.0/2", "64.0.0.0/2=0.0.0.0/2", "128.0.0.0/3=160.0.0.0/3", "160.0.0.0/3=128.0.0.0/3"}},
		},
		{"--portmap=80:8080,53:5353,443:444", map[string][]string{"port": {"80=8080", "53=5353", "443=444"}}},
	} {
		theirs := filepath.Join(folder, "theirs.pcap")
		tcprewrite(t, c.theirs, fixed, theirs)
		want, got := lab.ReadCapture(t, theirs), rewritten(t, c.ours, packets)
		changed, different := 0, 0
		for i := range want {
			if !bytes.Equal(got[i].Data, packets[i].Data) {
				changed++
			}
			if !bytes.Equal(got[i].Data, want[i].Data) {
				if different++; different < 6 {
					t.Errorf("%s: packet %d:\n%x, wanted\n%x, from\n%x", c.theirs, i+1, head(got[i].Data), head(want[i].Data), head(packets[i].Data))
				}
			}
		}
		if different > 0 || changed < 1000 {
			t.Errorf("%s: %d of %d packets differ, %d have changed", c.theirs, different, len(want), changed)
		}
	}
}
