package acceptance

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// workerSet is the set of captures that the pipelines replay.
var workerSet = lab.WorkerSet{Workers: 8, Packets: 6000, Duration: 1500 * time.Millisecond, FileSize: 60 << 10, Seed: 2}

// linkTools makes a folder with links to the six tools, to which others may be added, and
// puts it first in PATH.
func linkTools(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, tool := range lab.Tools {
		if err := os.Symlink(filepath.Join(toolFolder, tool), filepath.Join(folder, tool)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	return folder
}

// makeSet goes to a folder with a set as captures/ and set.tar.gz.
func makeSet(t *testing.T, set lab.WorkerSet) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("captures", 0o777); err != nil {
		t.Fatal(err)
	}
	files, err := set.Write("captures")
	if err != nil {
		t.Fatal(err)
	}
	var tarball bytes.Buffer
	compressed := gzip.NewWriter(&tarball)
	if err := errors.Join(lab.WriteTar(compressed, "captures", files), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("set.tar.gz", tarball.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

// replay runs a pipeline that sends on "left" and gives what arrives on "right".
func replay(t *testing.T, pipeline string) []stream.Packet {
	t.Helper()
	receiver, err := lab.NewReceiver("right", 128<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	output, err := exec.Command("bash", "-c", "set -o pipefail; "+pipeline).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", pipeline, err, output)
	}
	packets, err := receiver.Receive(2*time.Second, 300*time.Millisecond)
	if dropped, dropErr := receiver.Dropped(); err != nil || dropErr != nil || dropped > 0 {
		t.Fatalf("%s: %v, %v, the receiver lost %d packets", pipeline, err, dropErr, dropped)
	}
	return packets
}

// expectReplay compares the frames byte for byte, and the time axis so roughly that
// a busy machine passes: exactness is what scripts/bench measures.
func expectReplay(t *testing.T, pipeline string, want []stream.Packet) {
	t.Helper()
	r := wantArrival(t, pipeline, want, replay(t, pipeline))
	if r.GapError == nil || r.DriftEnd == nil {
		return
	}
	t.Logf("%s: gap error p50 %v s, p99 %v s, drift %v s", pipeline, r.GapError.P50, r.GapError.P99, *r.DriftEnd)
	if math.Abs(*r.DriftEnd) > 1 {
		t.Errorf("%s: took %v s longer than the set", pipeline, *r.DriftEnd)
	}
}

// A set of captures goes back onto a wire as it happened: from a tarball, from a
// folder, and by records that jq has chosen.
func TestPipelinesReplayASet(t *testing.T) {
	lab.NeedProgram(t, "jq")
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	linkTools(t)
	makeSet(t, workerSet)
	for _, pipeline := range []string{
		`pcap-tarcat set.tar.gz 'worker.*\.pcap' | pcap-merge | pcap-pace | pcap-inject -i left`,
		`pcap-merge captures | pcap-inject -i left`,
		`pcap-map captures | jq -c 'select(.packets > 0)' | pcap-merge --select - | pcap-pace | pcap-inject -i left`,
		`pcap-tarls set.tar.gz | pcap-merge --select - | pcap-pace -z zstd | pcap-inject -i left`,
	} {
		expectReplay(t, pipeline, workerSet.Merged())
	}
}

// The same through ssh, compressed on the way.
func TestPipelineThroughSSH(t *testing.T) {
	lab.NeedProgram(t, "ssh", "ssh-keygen")
	if os.Geteuid() != 0 {
		t.Skip("sshd changes users: that needs root")
	}
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		t.Skip("no sshd")
	}
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	folder := linkTools(t)
	makeSet(t, workerSet)
	ssh := startSSHD(t)
	expectReplay(t, fmt.Sprintf("pcap-merge captures | pcap-pace -z lz4 | %s %s/pcap-inject -i left", ssh, folder), workerSet.Merged())
}

// startSSHD runs sshd on loopback in this namespace, and gives the command that
// runs another one through it.
func startSSHD(t *testing.T) (ssh string) {
	t.Helper()
	folder := t.TempDir()
	key, config := filepath.Join(folder, "key"), filepath.Join(folder, "config")
	if output, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, output)
	}
	settings := []string{
		"Port 2222", "ListenAddress 127.0.0.1", "HostKey " + key, "AuthorizedKeysFile " + key + ".pub",
		"PidFile none", "UsePAM no", "StrictModes no", "PermitRootLogin yes",
	}
	if err := os.WriteFile(config, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it locks itself in
		t.Fatal(err)
	}
	server := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", config)
	var messages bytes.Buffer
	server.Stderr = &messages
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("sshd:\n%s", messages.String())
		}
	})
	lab.Await(t, "sshd answers", func() bool {
		connection, err := net.Dial("tcp", "127.0.0.1:2222")
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	return "ssh -p 2222 -i " + key + " -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@127.0.0.1"
}

// Gaps under 100 us are kept: 20,000 packets at 20 kpps take a second.
func TestSmallGapsAreKept(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	linkTools(t)
	t.Chdir(t.TempDir())
	packets := lab.Packets(20000, lab.Start, 50*time.Microsecond, 60)
	lab.WriteCapture(t, "fast.pcap", packets)
	expectReplay(t, "pcap-inject -i left fast.pcap", packets)
}

// containsAll says whether a text has all of these words.
func containsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}

// What an interface cannot send is said, and the rest is sent.
func TestInterfaceTrouble(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	linkTools(t)
	t.Chdir(t.TempDir())
	packets := lab.Packets(5, lab.Start, time.Millisecond, 100)
	packets[2].Data = lab.Frame(0, 2, 3000)
	packets[2].WireLength = 3000
	lab.WriteCapture(t, "large.pcap", packets)
	packets[2].Data[14+9], packets[2].Data[34+12] = 6, 5<<4 // TCP with a header of 20 bytes
	lab.WriteCapture(t, "tcp.pcap", packets[2:3])
	raw := lab.Packets(3, lab.Start, time.Millisecond, 100)
	for i := range raw {
		raw[i].Data, raw[i].WireLength, raw[i].LinkType = raw[i].Data[14:], 86, stream.LinkTypeRaw
	}
	lab.WriteCapture(t, "raw.pcap", raw)
	receiver, err := lab.NewReceiver("right", 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	for _, c := range []struct {
		before  func() error
		args    []string
		code    int
		arrived int
		words   string
	}{
		{nil, []string{"-i", "left", "large.pcap"}, exitDamaged, 4, "3000 bytes, but at most 1514 can be sent\npcap-inject: hint: allow such frames, also at the other end of a veth pair: ip link set left mtu 2986\n"},
		{nil, []string{"-i", "left", "tcp.pcap"}, exitDamaged, 0, "3000 bytes, but at most 1514 can be sent\npcap-inject: hint: --oversize segment cuts TCP packets as network cards do; or allow such frames, also at the other end of a veth pair: ip link set left mtu 2986\n"},
		{nil, []string{"-i", "left", "--oversize", "skip", "large.pcap"}, exitDone, 4, "sent 4 packets"},
		{nil, []string{"-i", "left", "--oversize", "truncate", "large.pcap"}, exitDone, 5, "sent 5 packets"},
		{nil, []string{"-i", "left", "raw.pcap"}, exitFailed, 0, `interface "left" takes EN10MB, not RAW`},
		{nil, []string{"-i", "nosuch", "large.pcap"}, exitUsage, 0, `interface "nosuch": no such interface`},
		{func() error { return lab.SetDown("right") }, []string{"-i", "left", "large.pcap"}, exitFailed, 0, "interface has no carrier\npcap-inject: hint: the other end is down: ip link set right up\n"},
		{func() error { return lab.SetDown("left") }, []string{"-i", "left", "large.pcap"}, exitFailed, 0, `interface "left": interface is down`},
	} {
		if c.before != nil {
			if err := c.before(); err != nil {
				t.Fatal(err)
			}
		}
		output, err := exec.Command("pcap-inject", c.args...).CombinedOutput()
		code := 0
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != c.code || !containsAll(string(output), strings.SplitAfter(c.words, "\n")) {
			t.Errorf("pcap-inject %v: exit %d, wanted %d and %q:\n%s", c.args, code, c.code, c.words, output)
		}
		if arrived, err := receiver.Receive(300*time.Millisecond, 200*time.Millisecond); len(arrived) != c.arrived {
			t.Errorf("pcap-inject %v: %d frames arrived, wanted %d; %v", c.args, len(arrived), c.arrived, err)
		}
	}
}
