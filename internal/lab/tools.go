package lab

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// Tools are the names of the six tools.
var Tools = []string{"pcap-tarls", "pcap-tarcat", "pcap-map", "pcap-merge", "pcap-pace", "pcap-inject"}

// BuildTools builds the tools into a folder, and appends it to PATH. They are built like
// the test: with the race detector, or with coverage, whose counters go to GOCOVERDIR if
// that is set.
func BuildTools(folder string) error {
	arguments := []string{"build", "-o", folder + string(filepath.Separator)}
	if raceDetector {
		arguments = append(arguments, "-race")
	}
	if testing.CoverMode() != "" || os.Getenv("GOCOVERDIR") != "" {
		arguments = append(arguments, "-cover", "-coverpkg=pcap-replay/...")
	}
	for _, tool := range Tools {
		arguments = append(arguments, "pcap-replay/cmd/"+tool)
	}
	if output, err := exec.Command("go", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return os.Setenv("PATH", os.Getenv("PATH")+string(filepath.ListSeparator)+folder)
}

// NeedProgram skips a test on a machine without a program.
func NeedProgram(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s here", name)
		}
	}
}

// UnignoreHangup lets SIGHUP end the programs that this process starts, also if nohup(1)
// has it ignored for the tests: exec resets a signal that is caught, but not one that is
// ignored.
func UnignoreHangup() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}
