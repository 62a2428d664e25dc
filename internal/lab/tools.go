package lab

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
)

// Tools are the names of the six tools.
var Tools = []string{"pcap-tarls", "pcap-tarcat", "pcap-map", "pcap-merge", "pcap-pace", "pcap-inject"}

// coverageVariable names the folder into which the built tools write their coverage. go test
// -cover sets GOCOVERDIR to another folder, where it only counts what the test itself runs.
const coverageVariable = "PCAP_COVERAGE"

// BuildTools builds the tools into a folder, and appends it to PATH. They are built as make
// does, or like the test with the race detector or with coverage.
func BuildTools(folder string) error {
	arguments := []string{"build", "-o", folder + string(filepath.Separator)}
	switch {
	case raceDetector:
		arguments = append(arguments, "-race")
	case hasCoverage():
		arguments = append(arguments, "-cover", "-coverpkg=pcap-replay/...")
	default:
		arguments = append(arguments, "-trimpath", "-tags=urfave_cli_no_docs", "-ldflags="+linkFlags())
	}
	for _, tool := range Tools {
		arguments = append(arguments, "pcap-replay/cmd/"+tool)
	}
	build := exec.Command("go", arguments...)
	if !raceDetector { // which needs cgo
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	if coverage := os.Getenv(coverageVariable); coverage != "" {
		if err := os.Setenv("GOCOVERDIR", coverage); err != nil {
			return err
		}
	}
	return os.Setenv("PATH", os.Getenv("PATH")+string(filepath.ListSeparator)+folder)
}

// linkFlags are those of the Makefile.
func linkFlags() string {
	if runtime.GOOS == "linux" && slices.Contains([]string{"amd64", "arm64", "386", "arm"}, runtime.GOARCH) {
		return "-s -w -E pcap-replay/internal/tool.entry"
	}
	return "-s -w"
}

func hasCoverage() bool { return testing.CoverMode() != "" || os.Getenv(coverageVariable) != "" }

// NeedToolsAsMade skips a test if the tools are not built as make builds them.
func NeedToolsAsMade(t testing.TB) {
	t.Helper()
	if raceDetector || hasCoverage() {
		t.Skip("the tools are built with the race detector or with coverage")
	}
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
