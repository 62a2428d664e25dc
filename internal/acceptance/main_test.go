// Package acceptance tests the built tools from outside: pipelines in namespaces, faults,
// signals, manuals and completions. The binaries are built as the tests are: with the race
// detector, or with coverage, which they write into the folder PCAP_COVERAGE.
package acceptance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"pcap-replay/internal/lab"
)

// The exit codes that the manuals promise.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitDamaged = 3
	exitLate    = 4
)

// toolFolder holds the tools, which are in PATH.
var toolFolder string

func TestMain(m *testing.M) {
	os.Exit(testTools(m))
}

func testTools(m *testing.M) int {
	lab.UnignoreHangup()
	const variable = "PCAP_TOOLS" // set in a namespace, where the test binary runs again
	if toolFolder = os.Getenv(variable); toolFolder != "" {
		return m.Run()
	}
	folder, err := os.MkdirTemp("", "pcap-tools-*")
	if err == nil {
		defer os.RemoveAll(folder)
		err = errors.Join(lab.BuildTools(folder), os.Setenv(variable, folder))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	toolFolder = folder
	return m.Run()
}

// run runs a tool.
func run(tool string, in []byte, args ...string) (code int, out, messages string) {
	command := exec.Command(tool, args...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(in), &stdout, &stderr
	if err := command.Run(); command.ProcessState == nil {
		return -1, "", err.Error()
	}
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}
