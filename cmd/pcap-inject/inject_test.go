package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pcap-replay/internal/input"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tool/tooltest"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// From the reader's block into the ring, nothing is allocated.
func TestFeedingDoesNotAllocate(t *testing.T) {
	ring := schedule.NewRing(1<<16, 32<<20)
	f := &feeder{
		playback: &input.Playback{}, messages: &tool.Messages{}, report: &tool.Report{}, axis: schedule.NewAxis(schedule.TimeScale{}), clock: schedule.System,
		epoch: &schedule.Epoch{}, rings: []*schedule.Ring{ring}, framer: newFileFramer(ring.MaxPacket()),
	}
	packets := lab.Packets(64, lab.Start, 1000, 100)
	batch := make([]stream.Packet, len(packets))
	allocated := testing.AllocsPerRun(500, func() {
		copy(batch, packets)
		if err := f.feed(batch); err != nil {
			t.Fatal(err)
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations for %d packets", allocated, len(packets))
	}
	if ring.Len() != 501*len(packets) {
		t.Errorf("%d packets in the ring", ring.Len())
	}
}

func TestScaledFigures(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0 pps", 999.4: "999 pps", 999.6: "1 kpps", 20000: "20 kpps", 1234567: "1.23 Mpps", 2.5e9: "2.5 Gpps", 1.5e13: "1.5e+04 Gpps",
	} {
		if got := scaled(value, "pps"); got != want {
			t.Errorf("%v is %q, wanted %q", value, got, want)
		}
	}
}

// FuzzFrames: whatever a packet claims, what is made of it fits, or it is skipped
// for a reason.
func FuzzFrames(f *testing.F) {
	f.Add(lab.Frame(0, 0, 100), uint32(100), uint16(1), uint8(0))
	f.Add(lab.Frame(0, 0, 2000), uint32(2000), uint16(1), uint8(7))
	f.Add(lab.Frame(0, 0, 100)[14:], uint32(4e9), uint16(101), uint8(13))
	f.Add([]byte{0x45}, uint32(0), uint16(276), uint8(30))
	f.Fuzz(func(t *testing.T, data []byte, wireLength uint32, link uint16, flags uint8) {
		framer := newWireFramer(fuzzDevice, policies{
			oversize: oversizePolicy(flags % 4), short: shortPolicy(flags / 4 % 3), makeEthernet: flags/12%2 == 1,
		})
		packet := stream.Packet{Data: data, WireLength: wireLength, LinkType: stream.LinkType(link)}
		frames, reason := framer.frames([]stream.Packet{packet})
		if (len(frames) == 0) != (reason != notSkipped) {
			t.Fatalf("%d frames, reason %v", len(frames), reason)
		}
		if reason != notSkipped {
			_ = framer.why(&packet, reason)
		}
		for _, frame := range frames {
			if len(frame.Data) < framer.minimum || len(frame.Data) > framer.maximum(frame.Data) || frame.LinkType != stream.LinkTypeEthernet {
				t.Fatalf("frame of %d bytes of link type %v", len(frame.Data), frame.LinkType)
			}
		}
	})
}

var fuzzDevice = &wire.Interface{Name: "fuzz", MTU: 1500, LinkType: stream.LinkTypeEthernet, HasLinkType: true, Up: true, Carrier: true}

// Of every capture of the corpus, all packets are sent but those of another link type,
// which are counted.
func TestInjectTakesTheCorpus(t *testing.T) {
	t.Parallel()
	report := filepath.Join(t.TempDir(), "report")
	for path, data := range lab.CorpusCaptures(t) {
		want := int64(lab.CountPackets(data))
		tooltest.Run(injector(), data, "--asap", "-w", os.DevNull, "--report", report)
		if s := lab.SummaryOf[record.InjectSummary](t, report); s.PacketsIn != want || s.PacketsOut+s.Skipped.LinkType != s.PacketsIn {
			t.Errorf("%s: takes %d packets of %d and sends %d", path, s.PacketsIn, want, s.PacketsOut)
		}
	}
}

// A packet comes out though the next one has not come in.
func TestNoPacketWaitsForTheNext(t *testing.T) {
	tooltest.Streams(t, injector(), "-q", "--delay", "0", "-w", "-")
	tooltest.Streams(t, injector(), "-q", "--asap", "-w", "-")
}

func TestTheLastPacketLeaves(t *testing.T) {
	in := lab.Pcap(lab.Packets(50, lab.Start, 100*time.Microsecond, 100), binary.LittleEndian, true)
	for round := range 20 {
		code, out, messages := tooltest.Run(injector(), in, "-w", "-", "--delay", "1ms")
		if got := lab.CountPackets([]byte(out)); code != tool.ExitDone || got != 50 {
			t.Fatalf("round %d: exit %d, %d packets, %q", round, code, got, messages)
		}
	}
}
