package acceptance

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// What other replay tools are known to get wrong.

// mappedStream returns what pcap-map says of a stream.
func mappedStream(t *testing.T, in []byte) record.Capture {
	t.Helper()
	code, out, messages := run("pcap-map", in)
	if code != exitDone {
		t.Fatalf("pcap-map: exit %d, %q", code, messages)
	}
	var capture record.Capture
	if err := record.NewDecoder(strings.NewReader(out)).Decode(&capture); err != nil {
		t.Fatal(err)
	}
	return capture
}

// filtered runs a tool over a stream and gives the packets that come out.
func filtered(t *testing.T, tool string, in []byte, args ...string) []stream.Packet {
	t.Helper()
	code, out, messages := run(tool, in, args...)
	if code != exitDone {
		t.Fatalf("%s %v: exit %d, %q", tool, args, code, messages)
	}
	var packets []stream.Packet
	for packet, err := range stream.NewReader(strings.NewReader(out)).Packets() {
		if err != nil {
			t.Fatal(err)
		}
		kept := *packet
		kept.Data = bytes.Clone(packet.Data)
		packets = append(packets, kept)
	}
	return packets
}

func span(packets []stream.Packet) time.Duration {
	return time.Duration(packets[len(packets)-1].Time - packets[0].Time)
}

func pcap(packets []stream.Packet) []byte { return lab.Pcap(packets, binary.LittleEndian, true) }

func TestTheFirstPacketIsCounted(t *testing.T) {
	for _, count := range []int{0, 1, 2, 3} {
		if got := mappedStream(t, pcap(lab.Packets(count, lab.Start, time.Second, 100))); got.Packets != int64(count) || got.Bytes != int64(100*count) {
			t.Errorf("%d packets of %d bytes, wanted %d", got.Packets, got.Bytes, count)
		}
	}
}

func TestEqualTimestampsAreInOrder(t *testing.T) {
	got := mappedStream(t, pcap(lab.Packets(100, lab.Start, 0, 100)))
	if got.OutOfOrder != 0 || math.IsInf(got.PPS, 0) || math.IsNaN(got.PPS) || math.IsInf(got.BPS, 0) || math.IsNaN(got.BPS) {
		t.Errorf("%+v", got)
	}
	for i, packet := range filtered(t, "pcap-merge", pcap(lab.Packets(100, lab.Start, 0, 100))) {
		if number, _ := lab.Sequence(packet.Data); number != uint32(i) {
			t.Fatalf("packet %d came at place %d", number, i)
		}
	}
}

func TestCapturesOfOneOrNoPacketReplay(t *testing.T) {
	for _, count := range []int{0, 1} {
		in := pcap(lab.Packets(count, lab.Start, 0, 100))
		for _, tool := range []string{"pcap-merge", "pcap-pace"} {
			if got := filtered(t, tool, in); len(got) != count {
				t.Errorf("%s: %d packets, wanted %d", tool, len(got), count)
			}
		}
		if got := filtered(t, "pcap-inject", in, "-w", "-", "--delay", "1ms"); len(got) != count {
			t.Errorf("pcap-inject: %d packets, wanted %d", len(got), count)
		}
	}
}

// Each round of a loop follows after the mean gap: no burst, no pause.
func TestLoopsHaveNoSeam(t *testing.T) {
	const gap = 2 * time.Millisecond
	in := pcap(lab.Packets(1001, lab.Start, gap, 100)) // 2 s
	path := filepath.Join(t.TempDir(), "set.pcap")
	if err := os.WriteFile(path, in, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]stream.Packet{
		"three sections":    filtered(t, "pcap-pace", bytes.Repeat(in, 3), "--asap"),
		"pcap-pace --loop":  filtered(t, "pcap-pace", nil, "--asap", "--loop", "3", path),
		"pcap-merge --loop": filtered(t, "pcap-merge", nil, "--loop", "3", path),
	} {
		if len(got) != 3003 || span(got) != 6*time.Second+2*gap {
			t.Fatalf("%s: %d packets in %v", name, len(got), span(got))
		}
		for i := 1; i < len(got); i++ {
			if between := time.Duration(got[i].Time - got[i-1].Time); between != gap {
				t.Fatalf("%s: %v between packets %d and %d, wanted %v", name, between, i-1, i, gap)
			}
		}
	}
}

func TestRangesCutBetweenPackets(t *testing.T) {
	in := pcap(lab.Packets(1000, lab.Start, time.Millisecond, 100))
	from, to := record.Time(lab.Start+100e6).String(), record.Time(lab.Start+200e6).String()
	for tool, args := range map[string][]string{"pcap-merge": nil, "pcap-pace": {"--asap"}} {
		got := filtered(t, tool, in, append(args, "--from", from, "--to", to)...)
		first, _ := lab.Sequence(got[0].Data)
		if len(got) != 100 || first != 100 {
			t.Errorf("%s: %d packets from %d on, wanted 100 from 100 on", tool, len(got), first)
		}
	}
}
