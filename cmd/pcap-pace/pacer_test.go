package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tool/tooltest"
	"pcap-replay/stream"
)

// timedWriter records when bytes come.
type timedWriter struct {
	start  time.Time
	bytes  bytes.Buffer
	marks  []mark
	writes int
	stall  func(size int) // before a write, with the size of all before it
}

type mark struct {
	at   time.Duration
	size int // of all bytes until then
}

func (w *timedWriter) Write(p []byte) (int, error) {
	if w.stall != nil {
		w.stall(w.bytes.Len())
	}
	w.writes++
	w.bytes.Write(p)
	w.marks = append(w.marks, mark{time.Since(w.start), w.bytes.Len()})
	return len(p), nil
}

// play plays packets by the fake clock of a synctest bubble.
func play(t *testing.T, c config, packets []stream.Packet) *timedWriter {
	t.Helper()
	w := &timedWriter{start: time.Now()}
	playTo(t, w, c, packets)
	return w
}

// playTo returns the pacer that has played packets to w.
func playTo(t *testing.T, w *timedWriter, c config, packets []stream.Packet) *pacer {
	t.Helper()
	c.from, c.to, c.loop = math.MinInt64, math.MaxInt64, 1
	run := &tool.Run{Context: context.Background(), Messages: &tool.Messages{}, Report: &tool.Report{}, Progress: &tool.Progress{}}
	opener := &input.Opener{In: bytes.NewReader(lab.Pcap(packets, binary.LittleEndian, true))}
	playback, err := input.NewPlayback(run.Context, nil, opener, &input.Problems{Messages: run.Messages, Report: run.Report}, run.Progress)
	if err != nil {
		t.Fatal(err)
	}
	p := newPacer(run, c, playback, files.Stdout(w))
	if err := p.playAll(); err != nil {
		t.Fatal(err)
	}
	return p
}

// When writing stands still for a while, the rest keeps its gaps, as far as neither the
// lead nor --start-at asks for what was missed.
func TestPaceMakesNoBurstAfterAStall(t *testing.T) {
	const gap, length = 100 * time.Millisecond, 100
	for _, test := range []struct {
		name    string
		stall   time.Duration
		config  config
		startAt bool
		late    time.Duration // of the last packet
		stalls  int64
	}{
		{name: "a stop", stall: 3 * time.Second, late: 3*time.Second - gap, stalls: 1},
		{name: "a short one", stall: 400 * time.Millisecond},
		{name: "within the lead", stall: 3 * time.Second, config: config{lead: 4 * time.Second}},
		{name: "beyond the lead", stall: 3 * time.Second, config: config{lead: time.Second}, late: 3*time.Second - gap, stalls: 1},
		{name: "at fixed moments", stall: 3 * time.Second, startAt: true, stalls: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &timedWriter{start: time.Now()}
				stalled := false
				w.stall = func(size int) {
					if size > 50*(16+length) && !stalled {
						stalled = true
						time.Sleep(test.stall)
					}
				}
				if test.startAt {
					moment := schedule.WallTime(schedule.System.Now())
					test.config.startAt = &moment
				}
				p := playTo(t, w, test.config, lab.Packets(100, lab.Start, gap, length))
				want := 99*gap - test.config.lead + test.late
				if late := w.marks[len(w.marks)-1].at - want; late < -time.Duration(releaseWindow) || late > gap {
					t.Errorf("the last packet came %v after it was wanted", late)
				}
				if p.stalls.Load() != test.stalls {
					t.Errorf("%d stalls, wanted %d", p.stalls.Load(), test.stalls)
				}
			})
		})
	}
}

// Packets come out at their moments, at most a millisecond early, and those that
// are due together with one write.
func TestPaceKeepsTime(t *testing.T) {
	const length = 100
	for _, test := range []struct {
		name   string
		config config
		gap    time.Duration
		writes int // at most
		want   func(packet int) time.Duration
	}{
		{"hours", config{}, time.Hour, 40, func(i int) time.Duration { return time.Duration(i) * time.Hour }},
		{"20 kpps", config{}, 50 * time.Microsecond, 60, func(i int) time.Duration { return time.Duration(i) * 50 * time.Microsecond }},
		{"twice as fast", config{timeScale: schedule.TimeScale{Speed: schedule.Fit(2, 1)}}, time.Second, 40,
			func(i int) time.Duration { return time.Duration(i) * 500 * time.Millisecond }},
		{"with a lead", config{lead: 5 * time.Second}, time.Second, 40,
			func(i int) time.Duration { return max(time.Duration(i-5)*time.Second, 0) }},
		{"at once", config{asap: true}, time.Hour, 1, func(int) time.Duration { return 0 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				packets := lab.Packets(1000, lab.Start, test.gap, length)
				if test.gap >= 500*time.Millisecond {
					packets = packets[:40]
				}
				w := play(t, test.config, packets)
				if w.writes > test.writes {
					t.Errorf("%d writes, wanted at most %d", w.writes, test.writes)
				}
				next := 0
				for i := range packets {
					for w.marks[next].size < 24+(i+1)*(16+length) {
						next++
					}
					if early := test.want(i) - w.marks[next].at; early < 0 || early > time.Duration(releaseWindow) {
						t.Fatalf("packet %d came out %v early", i, early)
					}
				}
			})
		})
	}
}

// A first timestamp that the output cannot hold is replaced, and that is said.
func TestPaceReplacesAnUnwritableTime(t *testing.T) {
	const endOfPcap = int64(1e9) << 32
	for _, test := range []struct {
		first  int64
		args   []string
		wanted int64
	}{
		{endOfPcap - 1e9, []string{"--asap"}, endOfPcap - 1e9},
		{endOfPcap, []string{"--asap"}, 0},
		{endOfPcap, []string{"--asap", "--pcapng"}, endOfPcap},
		{math.MaxInt64, []string{"--asap", "--pcapng"}, 0},
	} {
		var in bytes.Buffer
		w, err := stream.NewWriter(&in, stream.WriterOptions{PcapNG: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Write(lab.Packets(2, test.first, 0, 100)), w.Close()); err != nil {
			t.Fatal(err)
		}
		code, out, messages := tooltest.Run(pace(), in.Bytes(), test.args...)
		packets := lab.ReadPackets(t, strings.NewReader(out))
		if code != 0 || len(packets) != 2 || packets[0].Time != test.wanted || (messages != "") != (test.wanted == 0) {
			t.Errorf("first packet at %d, %v: exit code %d, %d packets, %q", test.first, test.args, code, len(packets), messages)
		}
	}
}

// Of every capture of the corpus, all packets come out.
func TestPaceTakesTheCorpus(t *testing.T) {
	t.Parallel()
	for path, data := range lab.CorpusCaptures(t) {
		want := lab.CountPackets(data)
		code, out, messages := tooltest.Run(pace(), data, "--asap", "--pcapng")
		if got := lab.CountPackets([]byte(out)); got != want || code != tool.ExitDone && code != tool.ExitDamaged && want > 0 {
			t.Errorf("%s: %d packets of %d: exit %d\n%s", path, got, want, code, messages)
		}
	}
}

// A packet comes out though the next one has not come in.
func TestNoPacketWaitsForTheNext(t *testing.T) {
	for _, args := range [][]string{nil, {"--asap"}, {"--exact"}} {
		tooltest.Streams(t, pace(), args...)
	}
}

func filtered(t *testing.T, in []byte, args ...string) []stream.Packet {
	t.Helper()
	code, out, messages := tooltest.Run(pace(), in, args...)
	if code != tool.ExitDone {
		t.Fatalf("%v: exit %d, %q", args, code, messages)
	}
	return lab.ReadPackets(t, strings.NewReader(out))
}

func span(packets []stream.Packet) time.Duration {
	return time.Duration(packets[len(packets)-1].Time - packets[0].Time)
}

func pcap(packets []stream.Packet) []byte { return lab.Pcap(packets, binary.LittleEndian, true) }

func TestSpeedIsWhatIsAskedFor(t *testing.T) {
	in := pcap(lab.Packets(1901, lab.Start, time.Millisecond, 100))
	for speed, want := range map[string]time.Duration{
		"1": 1900 * time.Millisecond, "1.9": time.Second, "0.5": 3800 * time.Millisecond, "19": 100 * time.Millisecond,
	} {
		if got := span(filtered(t, in, "--asap", "--speed", speed)); (got - want).Abs() > time.Microsecond {
			t.Errorf("--speed %s: %v, wanted %v", speed, got, want)
		}
	}
}

func TestAPacketOutOfOrderDoesNotStretchTime(t *testing.T) {
	packets := lab.Packets(1000, lab.Start, time.Millisecond, 100)
	packets[500].Time -= int64(300 * time.Millisecond)
	packets[700].Time = 0
	if got := span(filtered(t, pcap(packets), "--asap")); got != 999*time.Millisecond {
		t.Errorf("%v, wanted 999ms", got)
	}
}
