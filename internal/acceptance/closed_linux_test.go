package acceptance

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
)

// needEntry skips a test where the tools do not have their own entry.
func needEntry(t *testing.T) {
	t.Helper()
	if !slices.Contains([]string{"amd64", "arm64", "386", "arm"}, runtime.GOARCH) {
		t.Skipf("the tools have no entry of their own on %s", runtime.GOARCH)
	}
	lab.NeedToolsAsMade(t)
}

// A standard descriptor that is closed is an error where it is needed. The Go runtime opens
// /dev/null in its place, and what the caller opens as /dev/null stays usable, however it
// was opened.
func TestClosedDescriptors(t *testing.T) {
	needEntry(t)
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(10, lab.Start, time.Microsecond, 100))
	shell(t, "tar -cf a.tar a.pcap")
	for _, c := range []struct {
		command string
		code    int
		words   string
	}{
		{"pcap-tarls a.tar >&-", exitFailed, "stdout: is closed"}, {"pcap-tarcat a.tar >&-", exitFailed, "stdout: is closed"},
		{"pcap-map a.pcap >&-", exitFailed, "is closed"}, {"pcap-merge a.pcap >&-", exitFailed, "stdout: is closed"},
		{"pcap-pace --asap a.pcap >&-", exitFailed, "stdout: is closed"}, {"pcap-inject -q --asap -w - a.pcap >&-", exitFailed, "stdout: is closed"},
		{"pcap-tarls <&-", exitFailed, "stdin: is closed"}, {"pcap-tarcat <&-", exitFailed, "stdin: is closed"},
		{"pcap-map <&-", exitFailed, "stdin: is closed"}, {"pcap-merge <&-", exitFailed, "stdin: is closed"},
		{"pcap-pace <&-", exitFailed, "stdin: is closed"}, {"pcap-inject -q -w /dev/null <&-", exitFailed, "stdin: is closed"},
		{"pcap-merge --version >&-", exitFailed, "stdout: is closed"},
		{"pcap-merge -v -o out a.pcap 2>&-", exitFailed, ""}, {"pcap-inject --asap -w out a.pcap 2>&-", exitFailed, ""},
		// It is no report, either.
		{"pcap-map -o records --report 0 a.pcap <&-", exitUsage, "--report 0: the descriptor is not open"}, {"pcap-map -o records --report 2 a.pcap 2>&-", exitUsage, ""},
		{"pcap-map -o records --report 1 a.pcap >&-", exitUsage, "--report 1: stdout is closed"}, {"pcap-inject -q --asap -w out --report - a.pcap >&-", exitUsage, "--report -: stdout is closed"},
		// What is not needed may be closed.
		{"pcap-merge -o out a.pcap <&- >&- 2>&-", exitDone, ""}, {"pcap-map a.pcap <&- > out", exitDone, ""},
		// What the caller opens may be used.
		{"pcap-merge a.pcap > /dev/null", exitDone, ""}, {"pcap-merge a.pcap <> /dev/null 1<> /dev/null 2<> /dev/null", exitDone, ""},
		{"pcap-map < /dev/null", exitDone, ""}, {"pcap-inject --asap -w - a.pcap 1<> /dev/null 2<> /dev/null", exitDone, ""},
	} {
		run := exec.Command("bash", "-c", c.command)
		said, _ := run.CombinedOutput()
		if code := run.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(said), c.words) {
			t.Errorf("%s: exit %d, wanted %d: %s", c.command, code, c.code, said)
		}
	}
}
