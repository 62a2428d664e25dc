package acceptance

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// rotation is a way in which tcpdump and others treat the files of the folder "live".
type rotation struct {
	name   string
	args   []string
	beside func(stop <-chan struct{}) error // what happens to the files meanwhile
}

var rotations = []rotation{
	{name: "ring", args: []string{"-C", "1", "-W", "2", "-w", "live/ring.pcap"}},
	{name: "gzip", args: []string{"-G", "2", "-z", "gzip", "-w", "live/%s.pcap"}},
	{name: "rename", args: []string{"-C", "1", "-w", "live/new.pcap"}, beside: renameLikeLogrotate},
}

// traffic is what tcpdump sees. It fills a file of a megabyte in a second, or in half a
// second.
type traffic struct {
	rate   int // packets per second
	length int // of a frame
}

var traffics = []traffic{{1000, 1000}, {20000, 80}}

const (
	// captureTime is how long tcpdump captures; the traffic goes on for longer.
	captureTime = 5 * time.Second
	// captureTries is how often tcpdump may drop packets, which says nothing about us.
	captureTries = 5
)

// TestFollowBesideTcpdump has tcpdump overwrite, compress and rename files while their folder
// is followed, and ends both by SIGINT at the same time. Every packet that tcpdump has
// captured comes out once, or is told to be lost.
//
// PCAP_FOLLOW_RUNS is how often each rotation runs with each traffic, 1 by default.
func TestFollowBesideTcpdump(t *testing.T) {
	lab.NeedProgram(t, "tcpdump", "gzip")
	lab.Parallel(t)
	runs, err := strconv.Atoi(cmp.Or(os.Getenv("PCAP_FOLLOW_RUNS"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, traffic := range traffics {
		for _, rotation := range rotations {
			for run := range runs {
				t.Run(fmt.Sprintf("%s at %d pps, run %d", rotation.name, traffic.rate, run+1), func(t *testing.T) {
					if !lab.InNamespace(t) {
						return
					}
					lab.MakePair(t, "left", "right")
					linkTools(t)
					t.Chdir(t.TempDir())
					gap := time.Second / time.Duration(traffic.rate)
					lab.WriteCapture(t, "sent.pcap", lab.Packets(int(2*captureTime/gap), lab.Start, gap, traffic.length))
					for try := 1; !followTcpdump(t, rotation); try++ {
						if try == captureTries {
							t.Fatalf("tcpdump dropped packets %d times", try)
						}
					}
				})
			}
		}
	}
}

// followTcpdump says whether tcpdump has captured everything.
func followTcpdump(t *testing.T, rotation rotation) (counts bool) {
	if err := errors.Join(os.RemoveAll("live"), os.Mkdir("live", 0o777)); err != nil {
		t.Fatal(err)
	}
	var out, messages bytes.Buffer
	merge := exec.Command("pcap-merge", "--follow", "live", "--report", "report")
	merge.Stdout, merge.Stderr = &out, &messages
	capture := exec.Command("tcpdump", append([]string{"-i", "right", "-Z", "root", "--nano", "-B", "32768"}, rotation.args...)...)
	log, err := capture.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, merge)
	start(t, capture)
	waitFor(t, log, "listening on")
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		if rotation.beside == nil {
			stopped <- nil
			return
		}
		stopped <- rotation.beside(stop)
	}()
	inject := start(t, exec.Command("pcap-inject", "-q", "-i", "left", "sent.pcap"))
	time.Sleep(captureTime)
	for _, command := range []*exec.Cmd{merge, capture} {
		if err := command.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	rest, err := io.ReadAll(log)
	close(stop)
	if err := errors.Join(err, <-stopped, inject.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_, _, _ = capture.Wait(), merge.Wait(), inject.Wait()
	captured, dropped := capturedBy(t, rest)
	if dropped > 0 {
		t.Logf("tcpdump dropped %d packets: this does not count", dropped)
		return false
	}
	if code := merge.ProcessState.ExitCode(); code != 128+int(syscall.SIGINT) {
		t.Errorf("exit %d", code)
	}
	packets := lab.ReadPackets(t, &out)
	summary := lab.SummaryOf[record.MergeSummary](t, "report")
	t.Logf("%d captured, %d out, %d in, %d bytes unread, %d late", captured, len(packets), summary.PacketsIn, summary.Unread, summary.Late)
	// A process that gets no CPU time while a ring comes round has to say so.
	isTold := len(packets) < captured && toldLoss.Match(messages.Bytes())
	if isTold {
		t.Logf("%d packets were lost:\n%s", captured-len(packets), messages.Bytes())
	}
	if text := misplaced(packets, isTold); text != "" || !isTold && (len(packets) != captured || messages.Len() > 0) {
		t.Errorf("%d packets captured, %d came out:\n%s%s", captured, len(packets), text, messages.Bytes())
	}
	if summary.PacketsIn != int64(len(packets)) || summary.PacketsOut != summary.PacketsIn || summary.Interrupted != 0 || summary.Inputs == 0 {
		t.Errorf("%d packets came out, and the summary is %+v", len(packets), summary)
	}
	return true
}

// start starts a program that ends with the test.
func start(t *testing.T, command *exec.Cmd) *exec.Cmd {
	t.Helper()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	return command
}

// waitFor reads on to a text.
func waitFor(t *testing.T, log io.Reader, text string) {
	t.Helper()
	var all []byte
	for next := make([]byte, 1); !bytes.Contains(all, []byte(text)); all = append(all, next...) {
		if _, err := io.ReadFull(log, next); err != nil {
			t.Fatalf("%s: %v", all, err)
		}
	}
}

var tcpdumpCount = regexp.MustCompile(`(\d+) packets? (captured|dropped by kernel)`)

// capturedBy reads what tcpdump says in the end.
func capturedBy(t *testing.T, log []byte) (captured, dropped int) {
	t.Helper()
	counts := tcpdumpCount.FindAllSubmatch(log, -1)
	if len(counts) != 2 {
		t.Fatalf("tcpdump: %s", log)
	}
	captured, _ = strconv.Atoi(string(counts[0][1]))
	dropped, _ = strconv.Atoi(string(counts[1][1]))
	return captured, dropped
}

// toldLoss is how pcap-merge says what a ring has overwritten.
var toldLoss = regexp.MustCompile("was overwritten before it was read to its end|overwritten before")

// misplaced says which packets do not follow the one before, directly unless there may be gaps.
func misplaced(packets []stream.Packet, mayHaveGaps bool) string {
	var b strings.Builder
	next := uint32(0)
	for i := range packets {
		sequence, ok := lab.Sequence(packets[i].Data)
		if isNext := sequence == next || mayHaveGaps && sequence > next; (!ok || !isNext) && b.Len() < 1000 {
			fmt.Fprintf(&b, "packet %d has number %d, wanted %d\n", i+1, sequence, next)
		}
		next = sequence + 1
	}
	return b.String()
}

// renameLikeLogrotate renames all files of the folder again and again, that which is being
// written included: the newest becomes old.1, old.1 becomes old.2, and so on.
func renameLikeLogrotate(stop <-chan struct{}) error {
	old := 0
	for {
		select {
		case <-stop:
			return nil
		case <-time.After(170 * time.Millisecond):
		}
		fresh, err := filepath.Glob("live/new.pcap*")
		if err != nil {
			return err
		}
		for _, name := range fresh {
			for n := old; n > 0; n-- {
				if err := os.Rename(fmt.Sprintf("live/old.%d", n), fmt.Sprintf("live/old.%d", n+1)); err != nil {
					return err
				}
			}
			if err := os.Rename(name, "live/old.1"); err != nil {
				return err
			}
			old++
		}
	}
}
