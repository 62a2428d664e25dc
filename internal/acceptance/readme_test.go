package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
)

// The README shows what the tools print of the captures of the demo.
func TestReadmeShowsTheDemo(t *testing.T) {
	lab.NeedProgram(t, "bash", "jq")
	folder := t.TempDir()
	captures := filepath.Join(folder, "captures")
	if err := os.Mkdir(captures, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.DemoSet.Write(captures); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(readme), "reported with their offset:\n\n")
	block, _, _ = strings.Cut(block, "\n\n")
	var script, want string
	for line := range strings.Lines(block + "\n") {
		line = strings.TrimPrefix(line, "    ")
		if command, isCommand := strings.CutPrefix(line, "$ "); isCommand {
			script += command
		} else {
			want += line
		}
	}
	if strings.Count(script, "\n") != 3 {
		t.Fatalf("the commands of README.md are %q", script)
	}
	command := exec.Command("bash", "-c", script)
	command.Dir = folder
	if got, err := command.CombinedOutput(); err != nil || string(got) != want {
		t.Errorf("%q: %v\n%swanted\n%s", script, err, got, want)
	}
}
