package acceptance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
)

// After a signal the end of the input makes nothing whole: Ctrl-C ends all programs of a
// pipeline. The old file stays, and the report says so.
func TestInputsThatEndAfterASignal(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(20_000, lab.Start, time.Microsecond, 500))
	lab.WriteCapture(t, "b.pcap", lab.Packets(20_000, lab.Start, time.Microsecond, 500))
	shell(t, "tar -cf set.tar a.pcap b.pcap && cat a.pcap b.pcap > sections")
	var runs sync.WaitGroup
	defer runs.Wait()
	for _, c := range []struct {
		args  []string
		in    string
		keeps bool // a signal is an ordinary end
	}{
		{[]string{"pcap-tarls", "-o", "out"}, "set.tar", false},
		{[]string{"pcap-tarcat", "-o", "out"}, "set.tar", false},
		{[]string{"pcap-tarcat", "-C", "out"}, "set.tar", false},
		{[]string{"pcap-map", "-o", "out"}, "set.tar", false},
		{[]string{"pcap-map", "--svg", "out"}, "sections", false},
		{[]string{"pcap-merge", "-o", "out"}, "set.tar", false},
		{[]string{"pcap-merge", "-o", "out"}, "sections", false},
		{[]string{"pcap-pace", "--asap", "-o", "out"}, "sections", false},
		{[]string{"pcap-inject", "--asap", "-w", "out"}, "sections", true},
	} {
		runs.Go(func() {
			t.Run(strings.Join(c.args, " ")+" < "+c.in, func(t *testing.T) { endAfterSignal(t, c.args, c.in, c.keeps) })
		})
	}
}

func endAfterSignal(t *testing.T, args []string, in string, keeps bool) {
	data, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	old := filepath.Join(folder, "out")
	if args[1] == "-C" {
		old = filepath.Join(folder, "out", "b.pcap")
		os.Mkdir(filepath.Dir(old), 0o777)
	}
	if err := os.WriteFile(old, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(args[0], append([]string{"--report", "report"}, args[1:]...)...)
	command.Dir = folder
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var messages bytes.Buffer
	command.Stderr = &messages
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = stdin.Write(data[:len(data)*3/4])
	awaitSleep(t, command.Process)
	_ = command.Process.Signal(syscall.SIGINT)
	awaitSleep(t, command.Process) // within the second for which it waits on
	stdin.Close()
	_ = command.Wait()
	s := lab.SummaryOf[record.Summary](t, filepath.Join(folder, "report"))
	if code := command.ProcessState.ExitCode(); err != nil || code != 130 || s.Exit != 130 {
		t.Errorf("exit %d, %+v, %v: %s", code, s, err, messages.String())
	}
	content, err := os.ReadFile(old)
	if replaced := string(content) != "old"; err != nil || replaced != keeps {
		t.Errorf("the old file is replaced: %v, wanted %v; %v", replaced, keeps, err)
	}
	for _, out := range s.Outputs {
		if out.Path != "-" && (out.Complete != keeps || keeps && out.Bytes != int64(len(content))) {
			t.Errorf("the report says %+v of %d bytes", out, len(content))
		}
	}
	noTemporaryFiles(t, folder)
}

// noTemporaryFiles wants no hidden file below a folder.
func noTemporaryFiles(t *testing.T, folder string) {
	t.Helper()
	if left := hiddenFiles(folder); len(left) > 0 {
		t.Errorf("leaves %q", left)
	}
}

// hiddenFiles are those below a folder.
func hiddenFiles(folder string) (paths []string) {
	_ = filepath.WalkDir(folder, func(path string, _ os.DirEntry, _ error) error {
		if name := filepath.Base(path); strings.HasPrefix(name, ".") && name != "." {
			paths = append(paths, path)
		}
		return nil
	})
	return paths
}

// The second signal ends a run at once, and cleans up all the same.
func TestSecondSignalsCleanUp(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(20_000, lab.Start, time.Microsecond, 500))
	shell(t, "mkdir folder && cp a.pcap folder && tar -cf set.tar a.pcap")
	for _, args := range [][]string{
		{"pcap-tarls", "-o", "out"}, {"pcap-tarcat", "-o", "out"}, {"pcap-tarcat", "-C", "out"}, {"pcap-map", "-o", "out"},
		{"pcap-merge", "-o", "out"}, {"pcap-pace", "-o", "out"}, {"pcap-inject", "-w", "out"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			folder := t.TempDir()
			command := exec.Command(args[0], append([]string{"--report", "report"}, args[1:]...)...)
			command.Dir = folder
			stdin, err := command.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile("a.pcap")
			if strings.HasPrefix(args[0], "pcap-tar") {
				data, err = os.ReadFile("set.tar")
			}
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(stdin, bytes.NewReader(data[:len(data)/2]))
			// After one signal the run would go on as long as bytes come.
			go func() {
				for _, b := range data[len(data)/2:] {
					if _, err := stdin.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			}()
			awaitSleep(t, command.Process)
			for range 2 {
				_ = command.Process.Signal(syscall.SIGTERM)
				awaitSleep(t, command.Process) // or the kernel would make one signal of two
			}
			signalled := time.Now()
			_ = command.Wait()
			if took := time.Since(signalled); took > 10*time.Second {
				t.Errorf("it ends %v after the second signal", took)
			}
			s := lab.SummaryOf[record.Summary](t, filepath.Join(folder, "report"))
			if code := command.ProcessState.ExitCode(); code != 143 || s.Exit != 143 {
				t.Errorf("exit %d, %+v", code, s)
			}
			noTemporaryFiles(t, folder)
		})
	}
}

// Every signal that ends a process ends a run with its number, a summary and no temporary
// file. Only SIGABRT, and SIGQUIT with -v, print what the goroutines do.
func TestAllSignalsCleanUp(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(20_000, lab.Start, time.Microsecond, 500))
	room := make(chan bool, 12)
	var runs sync.WaitGroup
	defer runs.Wait()
	for _, args := range [][]string{
		{"pcap-tarls", "-o", "out"}, {"pcap-tarcat", "-o", "out"}, {"pcap-map", "-o", "out"},
		{"pcap-merge", "-v", "-o", "out"}, {"pcap-pace", "-o", "out"}, {"pcap-inject", "-q", "-w", "out"},
	} {
		for _, signal := range []syscall.Signal{
			syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE,
			syscall.SIGSEGV, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGTERM, syscall.SIGXCPU, syscall.SIGVTALRM, syscall.SIGSYS,
		} {
			runs.Go(func() {
				room <- true
				defer func() { <-room }()
				t.Run(args[0]+" "+signal.String(), func(t *testing.T) { endBySignal(t, args, signal) })
			})
		}
	}
}

// TestSignalsAtTheStart sends signals as soon as a tool has been started. The kernel ends the
// process if it has not run yet.
func TestSignalsAtTheStart(t *testing.T) {
	needEntry(t)
	linkTools(t)
	t.Chdir(t.TempDir())
	stdin, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	for _, args := range [][]string{
		{"pcap-tarls"}, {"pcap-tarcat"}, {"pcap-map"}, {"pcap-merge"}, {"pcap-pace"}, {"pcap-inject", "-q", "-w", "-"},
	} {
		for _, signal := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGXCPU, 40} {
			for range 5 {
				command := exec.Command(args[0], args[1:]...)
				command.Stdin = stdin
				if err := command.Start(); err != nil {
					t.Fatal(err)
				}
				_ = command.Process.Signal(signal)
				ignored := time.AfterFunc(10*time.Second, func() { _ = command.Process.Kill() })
				_ = command.Wait()
				ignored.Stop()
				status := command.ProcessState.Sys().(syscall.WaitStatus)
				if status.Signal() != signal && status.ExitStatus() != 128+int(signal) {
					t.Errorf("%v, %v: %v", args, signal, command.ProcessState)
				}
			}
		}
	}
}

func endBySignal(t *testing.T, args []string, signal syscall.Signal) {
	folder := t.TempDir()
	command := exec.Command(args[0], append([]string{"--report", "report"}, args[1:]...)...)
	command.Dir = folder
	var messages bytes.Buffer
	command.Stderr = &messages
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(hiddenFiles(folder)) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no output after 10 s: %s", messages.String())
		}
	}
	_ = command.Process.Signal(signal)
	_ = command.Wait()
	s := lab.SummaryOf[record.Summary](t, filepath.Join(folder, "report"))
	if code := command.ProcessState.ExitCode(); code != 128+int(signal) || s.Exit != code {
		t.Errorf("%v, %+v: %s", command.ProcessState, s, messages.String())
	}
	dumps := signal == syscall.SIGABRT || signal == syscall.SIGQUIT && args[1] == "-v"
	if dumped := strings.Contains(messages.String(), "goroutine "); dumped != dumps {
		t.Errorf("goroutines: %v, wanted %v: %s", dumped, dumps, messages.String())
	}
	noTemporaryFiles(t, folder)
}

// A signal ends a run although nobody reads its messages or its report. The output that it was
// writing is gone.
func TestSignalsEndRunsThatNobodyHears(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(1000, lab.Start, time.Millisecond, 100))
	shell(t, "head -c 1000 a.pcap > cut.pcap && tar -cf cut.tar a.pcap && truncate -s 1000 cut.tar && mkfifo fifo")
	for _, c := range []struct {
		name    string
		args    []string
		signals []syscall.Signal
	}{
		{"stderr", []string{"pcap-tarls", "-o", "out", "cut.tar"}, []syscall.Signal{syscall.SIGINT}},
		{"stderr", []string{"pcap-tarcat", "-o", "out", "cut.tar"}, []syscall.Signal{syscall.SIGINT}},
		{"stderr", []string{"pcap-map", "-o", "out", "cut.pcap"}, []syscall.Signal{syscall.SIGINT}},
		{"stderr", []string{"pcap-merge", "-o", "out", "cut.pcap"}, []syscall.Signal{syscall.SIGTERM}},
		{"stderr", []string{"pcap-pace", "-o", "out", "cut.pcap"}, []syscall.Signal{syscall.SIGINT}},
		{"stderr", []string{"pcap-pace", "--loop", "0", "-o", "out", "a.pcap"}, []syscall.Signal{syscall.SIGUSR1, syscall.SIGINT}},
		{"stderr", []string{"pcap-pace", "--loop", "0", "-o", "out", "a.pcap"}, []syscall.Signal{syscall.SIGABRT}},
		{"report", []string{"pcap-merge", "--report", "3", "-o", "out", "cut.pcap"}, []syscall.Signal{syscall.SIGINT}},
		{"report", []string{"pcap-pace", "--report", "3", "--loop", "0", "-o", "out", "a.pcap"}, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}},
		{"fifo", []string{"pcap-map", "--report", "fifo", "-o", "out", "a.pcap"}, []syscall.Signal{syscall.SIGTERM}},
	} {
		t.Run(fmt.Sprint(c.name, " ", c.args, " ", c.signals), func(t *testing.T) {
			silent, full, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			defer full.Close()
			command := exec.Command(c.args[0], c.args[1:]...)
			switch c.name {
			case "stderr":
				fill(t, full)
				command.Stderr = full
			case "report":
				fill(t, full)
				command.ExtraFiles = []*os.File{full}
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			awaitSleep(t, command.Process)
			signalled := time.Now()
			for _, s := range c.signals {
				_ = command.Process.Signal(s)
				awaitSleep(t, command.Process)
			}
			watchdog := time.AfterFunc(20*time.Second, func() { _ = command.Process.Kill() })
			defer watchdog.Stop()
			_ = command.Wait()
			if took, last := time.Since(signalled), c.signals[len(c.signals)-1]; took > 10*time.Second || command.ProcessState.ExitCode() != 128+int(last) {
				t.Errorf("%v after %v", command.ProcessState, took)
			}
			if _, err := os.Stat("out"); err == nil {
				t.Error("the output has its name")
			}
			noTemporaryFiles(t, ".")
		})
	}
}

// fill fills a pipe.
func fill(t *testing.T, pipe *os.File) {
	t.Helper()
	if err := pipe.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the pipe is not full: %v", err)
	}
}

// A file that is longer than allowed is an error with its name, and not the end by SIGXFSZ.
func TestFileSizeLimit(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(20_000, lab.Start, time.Microsecond, 500))
	command := exec.Command("bash", "-c", "ulimit -f 100; exec pcap-merge -o out a.pcap")
	output, _ := command.CombinedOutput()
	if code := command.ProcessState.ExitCode(); code != exitFailed || string(output) != "pcap-merge: error: out: file too large\n" {
		t.Errorf("exit %d: %s", code, output)
	}
	noTemporaryFiles(t, ".")
}

// No argument controls the terminal, and no message has a second line, whatever is wrong
// with whichever flag.
func TestMessagesEscapeArguments(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(10, lab.Start, time.Microsecond, 100))
	shell(t, "tar -cf a.tar a.pcap")
	const evil = "\x1b]0;owned\x07\n\r\u009b31m\u202e\xff/"
	for _, args := range [][]string{
		{"pcap-map", evil}, {"pcap-map", "--" + evil}, {"pcap-map", "-" + evil}, {"pcap-map", "--quiet=" + evil}, {"pcap-map", "--jobs", evil},
		{"pcap-map", "a.pcap", "-" + evil}, {"pcap-map", "--match", evil + "("}, {"pcap-map", "-o", evil, "a.pcap"}, {"pcap-map", "--report", evil, "a.pcap"},
		{"pcap-map", "--svg", evil, "a.pcap"}, {"pcap-map", "--progress", evil}, {"pcap-map", "--from-records", evil, "--chart"}, {"pcap-map", "--from-records", "a.pcap", evil},
		{"pcap-merge", "--tmp", evil, "a.pcap"}, {"pcap-merge", "--follow", evil}, {"pcap-merge", "--filter", evil, "a.pcap"}, {"pcap-merge", "--filter", "host " + evil, "a.pcap"},
		{"pcap-merge", "--filter-file", evil, "a.pcap"}, {"pcap-merge", "--select", evil}, {"pcap-merge", "--shard", evil}, {"pcap-merge", "--from", evil},
		{"pcap-merge", "--memory", evil}, {"pcap-merge", "-z", evil, "a.pcap"}, {"pcap-merge", "--reorder", evil}, {"pcap-merge", "--loop", evil},
		{"pcap-pace", "--speed", evil}, {"pcap-pace", "--pps", evil}, {"pcap-pace", "--fit", evil}, {"pcap-pace", "--start-at", evil},
		{"pcap-inject", "-i", evil, "a.pcap"}, {"pcap-inject", "-w", evil, "a.pcap"}, {"pcap-inject", "-w", "out", "--oversize", evil}, {"pcap-inject", "-i", "lo", "--tx", evil},
		{"pcap-inject", "--asap", "-w", "/dev/null", evil},
		{"pcap-tarcat", evil}, {"pcap-tarcat", "-C", "a.pcap/" + evil, "a.tar"}, {"pcap-tarcat", "a.tar", evil}, {"pcap-tarcat", "a.tar", evil + "("}, {"pcap-tarcat", "--name", evil, "a.tar"},
		{"pcap-tarcat", "--max-bytes", evil, "a.tar"}, {"pcap-tarls", evil}, {"pcap-tarls", "--index", evil}, {"pcap-tarls", "--verify", evil}, {"pcap-tarls", "--match", evil + "(", "a.tar"},
	} {
		command := exec.Command(args[0], args[1:]...)
		var messages bytes.Buffer
		command.Stderr = &messages
		_ = command.Run()
		if command.ProcessState.Success() || messages.Len() == 0 {
			t.Errorf("%q: %v, %q", args, command.ProcessState, messages.String())
		}
		for line := range strings.Lines(messages.String()) {
			text, ended := strings.CutSuffix(line, "\n")
			if !ended || !strings.HasPrefix(line, args[0]+": ") || files.EscapeControls(text) != text {
				t.Errorf("%q: %q", args, line)
			}
		}
	}
}

// A plain user who may write to the file of somebody else, and into its folder, replaces
// it: that is said.
func TestReplacedFilesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	lab.NeedProgram(t, "setpriv")
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(10, lab.Start, time.Microsecond, 100))
	for _, c := range []struct{ tool, flag string }{{"pcap-merge", "-o"}, {"pcap-pace", "-o"}, {"pcap-map", "--svg"}, {"pcap-inject", "-w"}} {
		output := string(shell(t, "chmod 755 .. && mkdir -p open && chmod 777 open && touch open/out && chown 1234 open/out && chmod 666 open/out && chmod 755 . && chmod 755 $(dirname $(command -v "+c.tool+"))"+
			" && setpriv --reuid 65534 --clear-groups "+c.tool+" "+c.flag+" open/out < a.pcap 2>&1 > /dev/null && stat -c %u open/out; rm -r open"))
		if !strings.Contains(output, c.tool+": warning: "+c.flag+" open/out: the file is replaced by one of another owner") || !strings.Contains(output, "\n65534\n") {
			t.Errorf("%s: %s", c.tool, output)
		}
	}
}

// mergeCounts are the counters of pcap-merge that tell what was read.
type mergeCounts struct {
	record.Summary
	Inputs      int   `json:"inputs"`
	In          int64 `json:"packets_in"`
	Out         int64 `json:"packets_out"`
	Interrupted int64 `json:"interrupted"`
}

// What pcap-merge has read of a stream when a signal comes is counted, before it merges
// anything.
func TestSignalsCountWhatWasReadOfStreams(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(20_000, lab.Start, time.Microsecond, 500))
	shell(t, "cp a.pcap b.pcap && tar -cf set.tar a.pcap b.pcap")
	for _, c := range []struct {
		command string
		in      int64
		inputs  int
	}{
		{"cat a.pcap", 20_000, 1}, {"cat a.pcap b.pcap", 40_000, 2}, {"cat set.tar", 40_000, 2},
		{"head -c 5160024 a.pcap", 10_000, 1},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			report := filepath.Join(folder, "report")
			written := filepath.Join(folder, "written")
			source := exec.Command("bash", "-c", c.command+"; touch "+written+"; sleep 60")
			source.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			pipe, err := source.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			command := exec.Command("pcap-merge", "--report", report, "--memory", "1MiB", "--tmp", folder, "-o", filepath.Join(folder, "out"))
			command.Stdin = pipe
			if err := source.Start(); err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			lab.Await(t, "it has read what there is", func() bool {
				_, err := os.Stat(written)
				return err == nil && isEmpty(pipe.(*os.File))
			})
			awaitSleep(t, command.Process) // then it has counted that
			_ = command.Process.Signal(syscall.SIGINT)
			_ = command.Wait()
			_ = syscall.Kill(-source.Process.Pid, syscall.SIGKILL)
			_ = source.Wait()
			// What is read ahead of a block may stay uncounted while the next one does not come.
			s := lab.SummaryOf[mergeCounts](t, report)
			if s.Exit != 130 || s.In > c.in || s.In < c.in*9/10 || s.Out != 0 || s.Interrupted != s.In || s.Inputs != c.inputs {
				t.Errorf("%+v, wanted %d packets of %d inputs", s, c.in, c.inputs)
			}
		})
	}
}

// A disk that is full while a stream is read leaves nothing uncounted, either.
func TestFullDisksCountWhatWasRead(t *testing.T) {
	linkTools(t)
	makeSet(t, lab.WorkerSet{Workers: 4, Packets: 4000, Duration: time.Second, FileSize: 1 << 20, Seed: 5})
	code, out, messages := inMountNamespace(t, `for i in {1..8}; do cat captures/*; done | pcap-merge --memory 0 --report report > /dev/null; code=$?; cat report; exit $code`)
	if err := os.WriteFile("report", []byte(out), 0o666); err != nil {
		t.Fatal(err)
	}
	if s := lab.SummaryOf[mergeCounts](t, "report"); code != exitFailed || s.In == 0 || s.Out != 0 || s.Interrupted != s.In || s.Inputs == 0 {
		t.Errorf("exit %d, %+v: %s", code, s, messages)
	}
}
