package acceptance

import (
	"bytes"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// What pcap-inject --filter sends of real captures is what tcpdump prints of them.
func TestFilterOfRealFramesOnTheWire(t *testing.T) {
	lab.NeedProgram(t, "tcpdump")
	packets := ethernetOfCorpus(t)
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	lab.WriteCapture(t, "set.pcap", packets)
	for _, expression := range []string{
		"tcp port 80 or 443", "host 10.0.0.1 or 192.168.1.2 or net 127", "ip6 and not udp", "arp or vlan",
		"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "greater 300 and not ether multicast",
	} {
		t.Run(expression, func(t *testing.T) {
			printed, err := exec.Command("tcpdump", "-r", "set.pcap", "-w", "-", expression).Output()
			if err != nil {
				t.Fatal(err)
			}
			var want [][]byte
			for packet, err := range stream.NewReader(bytes.NewReader(printed)).Packets() {
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, bytes.Clone(packet.Data))
			}
			got, summary := inject(t, receiver, exitDone, "--asap", "--short", "asis", "--filter", expression, "set.pcap")
			if len(want) == 0 || len(want) == len(packets) {
				t.Errorf("the expression takes %d packets of %d: nothing is tried", len(want), len(packets))
			}
			if !slices.EqualFunc(dataOf(got), want, bytes.Equal) {
				t.Errorf("%d frames arrived, tcpdump prints %d", len(got), len(want))
			}
			if summary.Filtered != int64(len(packets)-len(want)) {
				t.Errorf("%d filtered, wanted %d", summary.Filtered, len(packets)-len(want))
			}
		})
	}
}

// ethernetOfCorpus returns some whole frames of each Ethernet capture of the corpus
// that fit a usual MTU.
func ethernetOfCorpus(t *testing.T) (packets []stream.Packet) {
	t.Helper()
	const framesPerFile, shortest, longest = 5, 34, 1514
	_ = filepath.WalkDir(filepath.Join(lab.Corpus(t), "tcpdump"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		capture, err := stream.Open(path)
		if err != nil {
			return nil
		}
		defer capture.Close()
		count := 0
		for packet, err := range capture.Packets() {
			if err != nil || packet.LinkType != stream.LinkTypeEthernet || count == framesPerFile {
				return nil
			}
			if length := len(packet.Data); length >= shortest && length <= longest && int(packet.WireLength) == length {
				kept := *packet
				kept.Data = bytes.Clone(packet.Data)
				kept.Time = lab.Start + int64(len(packets))
				packets, count = append(packets, kept), count+1
			}
		}
		return nil
	})
	return packets
}
