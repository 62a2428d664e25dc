package acceptance

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// fileChange is what somebody does to a file while a tool reads it.
type fileChange struct {
	name   string
	change func(file string) error
}

var fileChanges = []fileChange{
	{"cut to half", func(file string) error {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		return os.Truncate(file, info.Size()/2)
	}},
	{"cut between two packets", func(file string) error { return os.Truncate(file, 24+6000*2016) }},
	{"cut to nothing", func(file string) error { return os.Truncate(file, 0) }},
	{"grown", func(file string) error {
		grown, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = grown.Write(make([]byte, 1<<20))
		return errors.Join(err, grown.Close())
	}},
	{"replaced", func(file string) error {
		return errors.Join(os.WriteFile(file+".new", make([]byte, 1000), 0o666), os.Rename(file+".new", file))
	}},
	{"removed", os.Remove},
}

// makeChangingSet makes a folder with a large file and a small one, and perhaps an
// archive of it with an index. Their packets are 9000.
func makeChangingSet(t *testing.T, withArchive bool) {
	t.Helper()
	if err := os.Mkdir("captures", 0o777); err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(9000, lab.Start, time.Millisecond, 2000)
	lab.WriteCapture(t, "captures/large.pcap", packets[:8990])
	lab.WriteCapture(t, "captures/small.pcap", packets[8990:])
	if !withArchive {
		return
	}
	archive, err := os.Create("set.tar")
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if err := lab.WriteTar(archive, "captures", []string{"captures/large.pcap", "captures/small.pcap"}); err != nil {
		t.Fatal(err)
	}
	shell(t, "pcap-tarls --index set.tar > members.ndjson")
}

// A file that changes while it is read ends nobody: what could be read goes on, whole
// packet by whole packet, and what is lost has a name.
func TestFilesChangeWhileTheyAreRead(t *testing.T) {
	linkTools(t)
	for _, c := range []struct {
		file string // that changes
		args []string
	}{
		{"captures/large.pcap", []string{"pcap-merge", "captures"}},
		{"captures/large.pcap", []string{"pcap-merge", "--loop", "2", "captures"}},
		{"captures/large.pcap", []string{"pcap-inject", "-q", "--asap", "-w", "-", "captures"}},
		{"captures/large.pcap", []string{"pcap-pace", "--asap", "captures/large.pcap"}},
		{"set.tar", []string{"pcap-merge", "--memory", "0", "set.tar"}},
		{"set.tar", []string{"pcap-merge", "--select", "members.ndjson"}},
	} {
		for _, change := range fileChanges {
			t.Run(strings.Join(c.args, " ")+", "+change.name, func(t *testing.T) {
				t.Chdir(t.TempDir())
				makeChangingSet(t, c.file == "set.tar")
				command := exec.Command(c.args[0], append([]string{"--report", "report.ndjson"}, c.args[1:]...)...)
				var messages strings.Builder
				command.Stderr = &messages
				out, in, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer out.Close()
				command.Stdout = in
				if err := command.Start(); err != nil {
					t.Fatal(err)
				}
				hangs := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
				defer hangs.Stop()
				got := countWhole(t, &changingReader{Reader: out, then: func() error {
					awaitFull(t, in)
					return errors.Join(in.Close(), change.change(c.file))
				}})
				_ = command.Wait()
				summary := lab.SummaryOf[map[string]any](t, "report.ndjson")
				if count, ok := summary["packets_out"].(float64); ok && int(count) != got {
					t.Errorf("%d packets came out, the report says %v", got, count)
				}
				wanted, code := 9000, command.ProcessState.ExitCode()
				switch {
				case c.args[0] == "pcap-pace":
					wanted = 8990
				case c.args[1] == "--loop":
					wanted = 18000
				}
				if code != exitDone && code != exitDamaged {
					t.Errorf("%v", command.ProcessState)
				}
				if (got < wanted || code != exitDone) && !strings.Contains(messages.String(), filepath.Base(c.file)) {
					t.Errorf("%d packets of %d, %v, and the file has no name in %q", got, wanted, command.ProcessState, messages.String())
				}
				if got < wanted && code == exitDone {
					t.Errorf("%d packets of %d are lost, but %v", wanted-got, wanted, command.ProcessState)
				}
				if t.Failed() {
					t.Logf("%s", messages.String())
				}
			})
		}
	}
}

// changingReader does something after the first piece.
type changingReader struct {
	io.Reader
	then func() error
}

func (r *changingReader) Read(data []byte) (int, error) {
	n, err := r.Reader.Read(data)
	if then := r.then; then != nil {
		r.then = nil
		err = errors.Join(err, then())
	}
	return n, err
}

// countWhole counts the packets of a stream, which has to be whole.
func countWhole(t *testing.T, in io.Reader) (n int) {
	t.Helper()
	reader := stream.NewReader(in)
	defer reader.Close()
	for _, err := range reader.Packets() {
		if err != nil {
			t.Errorf("behind %d packets: %v", n, err)
			_, _ = io.Copy(io.Discard, in)
			return n
		}
		n++
	}
	return n
}

// Files come, grow, shrink and go while pcap-map looks at them.
func TestFilesChangeWhileTheyAreMapped(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	makeChangingSet(t, true)
	large, err := os.ReadFile("captures/large.pcap")
	if err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile("set.tar")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	changed := make(chan error)
	go func() {
		for number := 0; ; number++ {
			file, data := "captures/large.pcap", large
			if number%2 == 1 {
				file, data = "set.tar", archive
			}
			if err := errors.Join(os.WriteFile(file, data, 0o666), fileChanges[number%len(fileChanges)].change(file)); err != nil {
				changed <- err
				return
			}
			select {
			case <-ended:
				changed <- nil
				return
			case <-time.After(time.Duration(number%7) * time.Millisecond):
			}
		}
	}()
	for range 40 {
		command := exec.Command("timeout", "20", "pcap-map", "--jobs", "4", "captures", "set.tar")
		var messages strings.Builder
		command.Stderr = &messages
		out, _ := command.Output()
		code := command.ProcessState.ExitCode()
		if code != exitDone && code != exitDamaged {
			t.Errorf("%v: %s", command.ProcessState, messages.String())
		}
		if code == exitDamaged && !strings.Contains(messages.String(), "large.pcap") && !strings.Contains(messages.String(), "set.tar") {
			t.Errorf("no file has a name in %q", messages.String())
		}
		if !strings.Contains(string(out), `"path":"captures/small.pcap"`) {
			t.Errorf("the file that did not change is missing: %s", out)
		}
	}
	close(ended)
	if err := <-changed; err != nil {
		t.Error(fmt.Errorf("change: %w", err))
	}
}
