package acceptance

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"pcap-replay/internal/lab"
)

// The picture in README.md is what pcap-map draws of the captures of the demo.
func TestPictureOfTheDemo(t *testing.T) {
	const picture = "../../man/captures.svg"
	folder := t.TempDir()
	captures := filepath.Join(folder, "captures")
	if err := os.Mkdir(captures, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.DemoSet.Write(captures); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("pcap-map", "--svg", "captures.svg", "captures")
	command.Dir = folder
	if err := command.Run(); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(filepath.Join(folder, "captures.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(picture, drawn, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if kept, err := os.ReadFile(picture); err != nil || !bytes.Equal(kept, drawn) {
		t.Errorf("%s is not what pcap-map draws (%v): go test ./internal/acceptance -run TestPicture -update", picture, err)
	}
}
