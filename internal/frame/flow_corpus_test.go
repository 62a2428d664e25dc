package frame

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// TestNoFlowIsSplit compares the shares with the TCP and UDP streams that tshark finds in
// all Ethernet captures of the corpus, including the fragments that it reassembles.
func TestNoFlowIsSplit(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("no tshark here")
	}
	packets := ethernetOfCorpus(t)
	path := filepath.Join(t.TempDir(), "corpus.pcap")
	lab.WriteCapture(t, path, packets)
	flows := tsharkFlows(t, path)
	fragmented := map[string]bool{}
	for _, frame := range flows {
		if frame.isFragment {
			fragmented[frame.flow] = true
		}
	}
	if len(flows) < 100_000 || len(fragmented) < 10 {
		t.Errorf("%d packets of flows, %d fragmented flows: too few to tell", len(flows), len(fragmented))
	}
	for _, shares := range []uint32{2, 4, 8, 1 << 31} {
		shareOf, split := map[string]uint32{}, map[string]bool{}
		for _, frame := range flows {
			share := ShardOf(&packets[frame.number-1], shares)
			if other, ok := shareOf[frame.flow]; ok && other != share {
				split[frame.flow] = true
			}
			shareOf[frame.flow] = share
		}
		for flow := range split {
			t.Errorf("%d shares: %s is split; has fragments: %v", shares, flow, fragmented[flow])
		}
	}
}

// ethernetOfCorpus returns the Ethernet packets of all captures.
func ethernetOfCorpus(t *testing.T) (packets []stream.Packet) {
	corpus, rows := lab.CorpusIndex(t)
	for _, row := range rows {
		file, err := os.Open(filepath.Join(corpus, row["path"]))
		if err != nil {
			t.Fatal(err)
		}
		for packet, err := range stream.NewReader(file).Packets() {
			var damage *stream.Damage
			if errors.As(err, &damage) {
				continue
			}
			if err != nil {
				break // not a capture, or unreadable
			}
			if packet.LinkType == stream.LinkTypeEthernet {
				kept := *packet
				kept.Data = append([]byte(nil), packet.Data...)
				kept.Time = lab.Start + int64(len(packets))*1000 // some captures have times that a pcap cannot hold
				packets = append(packets, kept)
			}
		}
		file.Close()
	}
	return packets
}

// flowFrame is a packet of a flow that tshark found.
type flowFrame struct {
	number     int // from 1
	flow       string
	isFragment bool
}

// tsharkFlows returns the packets of TCP and UDP streams. It leaves out tunnels, which have
// two IP headers.
func tsharkFlows(t *testing.T, path string) (frames []flowFrame) {
	command := exec.Command("tshark", "-r", path, "-n", "-T", "fields", "-E", "occurrence=a",
		"-o", "ip.defragment:TRUE", "-o", "ipv6.defragment:TRUE", "-o", "ip.check_checksum:FALSE",
		"-e", "frame.number", "-e", "tcp.stream", "-e", "udp.stream", "-e", "ip.src", "-e", "ipv6.src",
		"-e", "ip.reassembled_in", "-e", "ipv6.reassembled.in", "-e", "ip.fragment.count", "-e", "ipv6.fragment.count")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	flowOf := map[string]string{} // by packet number
	reassembledIn := map[int]string{}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		number, err := strconv.Atoi(fields[0])
		if err != nil || len(fields) != 9 {
			t.Fatalf("tshark says %q", lines.Text())
		}
		addresses := strings.Trim(fields[3]+","+fields[4], ",")
		if addresses == "" || strings.Contains(addresses, ",") {
			continue
		}
		in := fields[5] + fields[6]
		switch {
		case in != "" && in != fields[0]:
			reassembledIn[number] = in
		case fields[1] != "":
			flowOf[fields[0]] = "TCP " + fields[1]
		case fields[2] != "":
			flowOf[fields[0]] = "UDP " + fields[2]
		default:
			continue
		}
		if flow, ok := flowOf[fields[0]]; ok {
			frames = append(frames, flowFrame{number, flow, fields[7]+fields[8] != ""})
		}
	}
	if err := errors.Join(lines.Err(), command.Wait()); err != nil {
		t.Fatalf("tshark: %v", err)
	}
	for number, in := range reassembledIn {
		if flow, ok := flowOf[in]; ok {
			frames = append(frames, flowFrame{number, flow, true})
		}
	}
	return frames
}
