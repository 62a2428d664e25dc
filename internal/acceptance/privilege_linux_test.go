package acceptance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pcap-replay/internal/lab"
)

// statusOf reads a field of /proc/PID/status.
func statusOf(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(regexp.MustCompile(`(?m)^` + field + `:\s*(\S+)$`).FindSubmatch(text)[1])
}

// needPrivileges skips a test if the tools have no privileges that they can give up.
func needPrivileges(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has privileges")
	}
	if isCgo() {
		t.Skip("built with cgo, where not all threads can be reached")
	}
}

// A tool that has privileges gives up all but those by which root opens files, before it
// reads anything.
func TestToolsGiveUpPrivileges(t *testing.T) {
	needPrivileges(t)
	linkTools(t)
	t.Chdir(t.TempDir())
	for _, args := range [][]string{
		{"pcap-tarls"}, {"pcap-tarcat", "-o", "out"}, {"pcap-map"}, {"pcap-merge", "-o", "out"}, {"pcap-pace", "-o", "out"},
		{"pcap-inject", "-q", "-w", "out"}, {"pcap-inject", "-q", "--realtime", "-w", "-"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			command := exec.Command(args[0], args[1:]...)
			stdin, err := command.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				stdin.Close()
				_ = command.Process.Kill()
				_ = command.Wait()
			}()
			lab.Await(t, "no new privileges", func() bool { return statusOf(t, command.Process.Pid, "NoNewPrivs") == "1" })
			lab.Await(t, "only access to files", func() bool {
				effective, permitted := statusOf(t, command.Process.Pid, "CapEff"), statusOf(t, command.Process.Pid, "CapPrm")
				return strings.Trim(effective[:15], "0") == "" && effective == permitted && statusOf(t, command.Process.Pid, "CapInh") == strings.Repeat("0", 16)
			})
		})
	}
}

// While pcap-inject reads its flags and the file of --filter-file, it has no privileges but
// those for sending and for files.
func TestFilterFileIsReadWithFewPrivileges(t *testing.T) {
	needPrivileges(t)
	linkTools(t)
	t.Chdir(t.TempDir())
	if err := unix.Mkfifo("filter", 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("pcap-inject", "-q", "-i", "lo", "--filter-file", "filter")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	writer, err := os.OpenFile("filter", os.O_WRONLY, 0) // when it reads
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	effective, err := strconv.ParseUint(statusOf(t, command.Process.Pid, "CapEff"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, capability := range []int{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_SYS_MODULE, unix.CAP_SETUID, unix.CAP_KILL, unix.CAP_BPF} {
		if effective>>capability&1 != 0 {
			t.Errorf("it has capability %d: %x", capability, effective)
		}
	}
	if effective>>unix.CAP_NET_RAW&1 == 0 || statusOf(t, command.Process.Pid, "NoNewPrivs") != "1" {
		t.Errorf("capabilities %x, NoNewPrivs %s", effective, statusOf(t, command.Process.Pid, "NoNewPrivs"))
	}
}

// A program with capabilities of its file obeys no variable of the Go runtime, and gives
// the capabilities up.
func TestPrivilegedToolsIgnoreRuntimeVariables(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives privileges to a file")
	}
	if isCgo() {
		t.Skip("built with cgo, where not all threads can be reached")
	}
	lab.NeedProgram(t, "setcap", "setpriv")
	folder, err := os.MkdirTemp("/var/tmp", "pcap-tools-*") // whose parents all may pass
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	shell(t, "chmod 755 "+folder+" && cp $(command -v pcap-inject) "+folder)
	program := filepath.Join(folder, "pcap-inject")
	if output, err := exec.Command("setcap", "cap_net_raw+ep", program).CombinedOutput(); err != nil {
		t.Skipf("no capabilities of files here: %v: %s", err, output)
	}
	for _, secure := range []bool{true, false} {
		if !secure {
			shell(t, "setcap -r "+program)
		}
		command := exec.Command("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", program, "-q", "-w", "/dev/null")
		command.Env = append(os.Environ(), "GODEBUG=gctrace=1", "GOTRACEBACK=all", "GOGC=1", "GOMAXPROCS=1")
		var messages bytes.Buffer
		command.Stderr = &messages
		stdin, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lab.Await(t, "it waits without privileges", func() bool {
			return statusOf(t, command.Process.Pid, "NoNewPrivs") == "1" && statusOf(t, command.Process.Pid, "CapPrm") == strings.Repeat("0", 16)
		})
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", command.Process.Pid))
		obeys := bytes.Contains(environment, []byte("GODEBUG=")) || bytes.Contains(environment, []byte("GOGC="))
		if err != nil || obeys == secure {
			t.Errorf("secure %v: GODEBUG is there: %v, %v", secure, obeys, err)
		}
		for range 200 { // what makes garbage is collected with GOGC=1, and gctrace tells
			if _, err := stdin.Write(lab.Pcap(lab.Packets(100, lab.Start, time.Nanosecond, 500), binary.LittleEndian, true)); err != nil {
				break
			}
		}
		stdin.Close()
		done := make(chan error, 1)
		go func() { done <- command.Wait() }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = command.Process.Signal(syscall.SIGTERM)
			<-done
		}
		// Before the first function of the program runs, the runtime may collect garbage once.
		if traced := strings.Contains(messages.String(), "gc 2 @"); traced == secure {
			t.Errorf("secure %v: %s", secure, messages.String())
		}
	}
}

// A program with the setuid bit of root reads and writes files as the user who calls it, and
// may send nevertheless.
func TestSetuidToolsUseFilesOfTheirCaller(t *testing.T) {
	needPrivileges(t)
	lab.NeedProgram(t, "setpriv")
	linkTools(t)
	folder, err := os.MkdirTemp("/var/tmp", "pcap-tools-*") // whose parents all may pass
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	t.Chdir(folder)
	lab.WriteCapture(t, "ours.pcap", lab.Packets(10, lab.Start, time.Microsecond, 100))
	lab.WriteCapture(t, "roots.pcap", lab.Packets(10, lab.Start, time.Microsecond, 100))
	shell(t, "for tool in map inject; do cp $(command -v pcap-$tool) . && chmod 6755 pcap-$tool; done; chmod 755 . && chmod 644 ours.pcap && chmod 600 roots.pcap && echo root > report && chmod 644 report")
	asNobody := []string{"--reuid", "65534", "--regid", "65534", "--clear-groups"}
	shell(t, "cp $(command -v id) . && chmod 4755 id")
	if user, err := exec.Command("setpriv", append(asNobody, "./id", "-u")...).Output(); string(user) != "0\n" {
		t.Skipf("no setuid programs here: %s %v", user, err)
	}
	for _, c := range []struct {
		command, message string
	}{
		{"./pcap-map ours.pcap", ""},
		{"./pcap-map roots.pcap", "pcap-map: error: roots.pcap: permission denied"},
		{"./pcap-map --report report ours.pcap", "pcap-map: error: --report report: permission denied"},
		{"./pcap-inject -q --asap -w /dev/null roots.pcap", "pcap-inject: error: roots.pcap: permission denied"},
		{"./pcap-inject -q --asap -i lo ours.pcap", ""},
		{"./pcap-inject -q --asap -i lo --filter-file roots.pcap ours.pcap", "pcap-inject: error: --filter-file roots.pcap: permission denied"},
	} {
		command := exec.Command("setpriv", slices.Concat(asNobody, strings.Fields(c.command))...)
		var messages bytes.Buffer
		command.Stderr = &messages
		err := command.Run()
		first, _, _ := strings.Cut(messages.String(), "\n") // a hint may follow
		if first != c.message || (err == nil) != (c.message == "") {
			t.Errorf("%s: %v, %q, wanted %q", c.command, err, messages.String(), c.message)
		}
	}
	if report, err := os.ReadFile("report"); string(report) != "root\n" {
		t.Errorf("the report of root: %q, %v", report, err)
	}
}
