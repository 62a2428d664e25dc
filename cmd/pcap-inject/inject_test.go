package main

import (
	"bytes"
	"encoding/binary"
	"errors"
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
	for name, split := range map[string]*splitter{"one interface": nil, "clients": newSplit(t, "clients"), "expression": newSplit(t, "src host 10.0.0.1"), "direction": newSplit(t, "direction")} {
		t.Run(name, func(t *testing.T) { feedWithoutAllocating(t, split) })
	}
}

func newSplit(t *testing.T, text string) *splitter {
	split, err := newSplitter(text)
	if err != nil {
		t.Fatal(err)
	}
	return split
}

func feedWithoutAllocating(t *testing.T, split *splitter) {
	ring := schedule.NewRing(1<<16, 32<<20)
	f := &feeder{
		split:    split,
		playback: &input.Playback{}, messages: &tool.Messages{}, report: &tool.Report{}, axis: schedule.NewAxis(schedule.TimeScale{}), clock: schedule.System,
		epoch: &schedule.Epoch{}, rings: []*schedule.Ring{ring}, egresses: append((&fileSink{}).egresses(nil, ring.MaxPacket()), (&fileSink{}).egresses(nil, ring.MaxPacket())...),
	}
	packets := lab.Packets(64, lab.Start, 1000, 100)
	for i := range packets {
		packets[i].Direction = stream.Direction(1 + i%2)
	}
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

// The sections of a stream follow one another by the mean gap: three of 98 ms take 298 ms,
// and as much more as the last packet was late.
func TestSectionsHaveNoSeam(t *testing.T) {
	section := lab.Pcap(lab.Packets(50, lab.Start, 2*time.Millisecond, 100), binary.LittleEndian, true)
	report := filepath.Join(t.TempDir(), "report")
	var s record.InjectSummary
	lab.Await(t, "a run without a stall", func() bool {
		tooltest.Run(injector(), bytes.Repeat(section, 3), "--delay", "1s", "-w", os.DevNull, "--report", report)
		s = lab.SummaryOf[record.InjectSummary](t, report)
		return s.Underruns == 0
	})
	const tolerance = 1e-6
	late := float64(s.Lateness.Max)
	if took := float64(s.Duration); s.PacketsOut != 150 || took < 0.298-late-tolerance || took > 0.298+late+tolerance {
		t.Errorf("%d packets took %v s, at most %v s late", s.PacketsOut, took, late)
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

// countingSender is one side. It takes packets up to a limit.
type countingSender struct {
	wire.Sender
	runs  [][]stream.Packet
	limit int
}

var errFull = errors.New("full")

func (s *countingSender) Send(packets []stream.Packet) (int, error) {
	sent := min(len(packets), s.limit)
	s.limit -= sent
	s.runs = append(s.runs, packets[:sent])
	if sent < len(packets) {
		return sent, errFull
	}
	return sent, nil
}

// A split sender gives each side its runs in order, and says how far it came.
func TestSplitSenderSendsRuns(t *testing.T) {
	packets := lab.Packets(10, lab.Start, 1000, 100)
	for i := range packets {
		if i%5 > 2 {
			packets[i].Direction = stream.Outbound
		}
	}
	for limit := range 5 {
		a, b := &countingSender{limit: 10}, &countingSender{limit: limit}
		sender := newSplitSender(a, b)
		sent, err := sender.Send(packets)
		want := [...]int{3, 4, 8, 9, 10}[limit]
		if sent != want || (err == nil) != (want == 10) {
			t.Errorf("with room for %d on the second side: %d sent, %v, wanted %d", limit, sent, err, want)
		}
		framesA, bytesA := sender.sides[0].sent()
		framesB, bytesB := sender.sides[1].sent()
		if framesA+framesB != int64(want) || bytesA+bytesB != int64(100*want) || framesB != int64(limit) {
			t.Errorf("%d and %d frames counted, wanted %d in all", framesA, framesB, want)
		}
		for _, run := range a.runs {
			if len(run) != 3 || run[0].Direction == stream.Outbound {
				t.Errorf("a run of %d packets of side %d", len(run), sideOf(&run[0]))
			}
		}
	}
}
