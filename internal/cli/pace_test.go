package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/schedule"
	"pcap-replay/stream"
)

// timedWriter takes note of when bytes come.
type timedWriter struct {
	start  time.Time
	bytes  bytes.Buffer
	marks  []mark
	writes int
}

type mark struct {
	at   time.Duration
	size int // of all bytes until then
}

func (w *timedWriter) Write(p []byte) (int, error) {
	w.writes++
	w.bytes.Write(p)
	w.marks = append(w.marks, mark{time.Since(w.start), w.bytes.Len()})
	return len(p), nil
}

// pace plays packets by the fake clock of a synctest bubble.
func pace(t *testing.T, config paceConfig, packets []stream.Packet) *timedWriter {
	t.Helper()
	w := &timedWriter{start: time.Now()}
	config.from, config.to, config.loop = math.MinInt64, math.MaxInt64, 1
	j := newJob(Pace(), Streams{bytes.NewReader(lab.Pcap(packets, binary.LittleEndian, true)), w, io.Discard})
	j.ctx = context.Background()
	p := &pacer{
		playback:   &playback{job: j, inputs: []input{{path: "-"}}},
		paceConfig: config, clock: schedule.System, departures: make([]int64, batchPackets),
	}
	if err := p.run(&output{Writer: w}); err != nil {
		t.Fatal(err)
	}
	return w
}

// Packets come out at their moments, at most a millisecond early, and those that
// are due together with one write.
func TestPaceKeepsTime(t *testing.T) {
	const length = 100
	for _, test := range []struct {
		name   string
		config paceConfig
		gap    time.Duration
		writes int // at most
		want   func(packet int) time.Duration
	}{
		{"hours", paceConfig{}, time.Hour, 40, func(i int) time.Duration { return time.Duration(i) * time.Hour }},
		{"20 kpps", paceConfig{}, 50 * time.Microsecond, 60, func(i int) time.Duration { return time.Duration(i) * 50 * time.Microsecond }},
		{"twice as fast", paceConfig{bend: schedule.Bend{Speed: schedule.Fit(2, 1)}}, time.Second, 40,
			func(i int) time.Duration { return time.Duration(i) * 500 * time.Millisecond }},
		{"with a lead", paceConfig{lead: 5 * time.Second}, time.Second, 40,
			func(i int) time.Duration { return max(time.Duration(i-5)*time.Second, 0) }},
		{"at once", paceConfig{asap: true}, time.Hour, 1, func(int) time.Duration { return 0 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				packets := lab.Packets(1000, lab.Start, test.gap, length)
				if test.gap >= 500*time.Millisecond {
					packets = packets[:40]
				}
				w := pace(t, test.config, packets)
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
		w := stream.NewWriter(&in, stream.WriterOptions{PcapNG: true})
		if err := errors.Join(w.Write(lab.Packets(2, test.first, 0, 100)), w.Close()); err != nil {
			t.Fatal(err)
		}
		code, out, messages := run(Pace(), in.Bytes(), test.args...)
		packets := packetsOf(t, strings.NewReader(out))
		if code != 0 || len(packets) != 2 || packets[0].Time != test.wanted || (messages != "") != (test.wanted == 0) {
			t.Errorf("first packet at %d, %v: exit code %d, %d packets, %q", test.first, test.args, code, len(packets), messages)
		}
	}
}
