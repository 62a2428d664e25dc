package acceptance

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// A process that is stopped for a while makes no burst when it goes on, but an underrun,
// and says so. At fixed moments, what was missed leaves at once.
func TestAStoppedProcessMakesNoBurst(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	const (
		packets, gap = 3000, time.Millisecond
		stop         = 2 * time.Second
		longestBurst = 1000 // packets within 100 ms: half of what the stop keeps back
	)
	for _, test := range []struct {
		name    string
		stopped []string // programs
		isAt    bool
		warning string
	}{
		{"pcap-inject", []string{"pcap-inject"}, false, "pcap-inject: warning: sent nothing for "},
		{"pcap-inject --at", []string{"pcap-inject"}, true, ": what should have left meanwhile leaves at once\n"},
		{"pcap-pace", []string{"pcap-pace"}, false, "pcap-pace: warning: wrote nothing for "},
		{"both", []string{"pcap-pace", "pcap-inject"}, false, "pcap-pace: warning: wrote nothing for "},
	} {
		t.Run(test.name, func(t *testing.T) {
			receiver := injectLab(t)
			lab.WriteCapture(t, "set.pcap", lab.Packets(packets, lab.Start, gap, 100))
			pace := exec.Command("pcap-pace", "set.pcap")
			inject := exec.Command("pcap-inject", "-i", "left", "--report", "report.ndjson")
			if test.isAt {
				start := time.Now().Add(time.Second)
				pace = exec.Command("pcap-pace", "--lead", "10s", "--start-at", fmt.Sprintf("%d.%09d", start.Unix(), start.Nanosecond()), "set.pcap")
				inject.Args = append(inject.Args, "--at")
			}
			var err error
			if inject.Stdin, err = pace.StdoutPipe(); err != nil {
				t.Fatal(err)
			}
			var paceSays, injectSays bytes.Buffer
			pace.Stderr, inject.Stderr = &paceSays, &injectSays
			programs := map[string]*exec.Cmd{"pcap-pace": pace, "pcap-inject": inject}
			for _, program := range programs {
				if err := program.Start(); err != nil {
					t.Fatal(err)
				}
			}
			signal := func(signal syscall.Signal) {
				for _, name := range test.stopped {
					if err := programs[name].Process.Signal(signal); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := receiver.Await(10 * time.Second); err != nil {
				t.Fatal(err)
			}
			signal(syscall.SIGSTOP)
			time.Sleep(stop)
			signal(syscall.SIGCONT)
			got, err := receiver.Receive(5*time.Second, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"pcap-inject", "pcap-pace"} {
				if err := programs[name].Wait(); err != nil {
					t.Fatalf("%s: %v\n%s%s", name, err, paceSays.Bytes(), injectSays.Bytes())
				}
			}
			if len(got) != packets {
				t.Errorf("%d packets arrived, wanted %d", len(got), packets)
			}
			if burst := largestBurst(got, 100*time.Millisecond); (burst > longestBurst) != test.isAt {
				t.Errorf("%d packets arrived within 100 ms", burst)
			}
			if s := readSummary(t); s.Underruns == 0 || s.Stalls > 2 {
				t.Errorf("%d underruns, %d of them stalls", s.Underruns, s.Stalls)
			}
			if says := paceSays.String() + injectSays.String(); !strings.Contains(says, test.warning) {
				t.Errorf("said %q, wanted %q", says, test.warning)
			}
		})
	}
}

// largestBurst is how many packets came at most within so long a time.
func largestBurst(packets []stream.Packet, within time.Duration) (largest int) {
	first := 0
	for last := range packets {
		for packets[last].Time-packets[first].Time > int64(within) {
			first++
		}
		largest = max(largest, last-first+1)
	}
	return largest
}
