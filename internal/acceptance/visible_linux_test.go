package acceptance

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// A program that captures sees every frame, wherever it captures: on the interface that
// sends, on the other end of its cable, on the port of a bridge, or on a tap device.
func TestCapturesSeeWhatIsSent(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.NeedProgram(t, "tcpdump")
	linkTools(t)
	for _, test := range []struct {
		name             string
		sendOn, listenOn string
	}{
		{"sending interface", "left", "left"},
		{"other end", "left", "right"},
		{"all interfaces", "left", "any"},
		{"bridge that sends", "bridge", "bridge"},
		{"port of a bridge", "bridge", "left"},
		{"loopback interface", "lo", "lo"},
		{"tap device", "tap", "tap"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			lab.MakePair(t, "left", "right")
			for _, name := range []string{test.sendOn, test.listenOn} {
				makeDevice(t, name)
			}
			// Twice: a capture sees the frames of both ways of departure.
			for _, mode := range []string{"--delay=10ms", "--asap"} {
				packets := lab.Packets(500, lab.Start, 100*time.Microsecond, 100)
				lab.WriteCapture(t, "sent.pcap", packets)
				stop := startTcpdump(t, test.listenOn, "seen.pcap")
				output, err := exec.Command("pcap-inject", "-i", test.sendOn, mode, "sent.pcap").CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, output)
				}
				wanted := len(packets)
				if test.listenOn == "any" {
					wanted *= 2 // it sees them on both ends
				}
				seen := 0
				for deadline := time.Now().Add(10 * time.Second); seen < wanted && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
					seen = countFrames(t, "seen.pcap")
				}
				stop()
				if seen != wanted {
					t.Errorf("%s: tcpdump on %s saw %d of %d frames", mode, test.listenOn, seen, wanted)
				}
			}
		})
	}
}

// makeDevice makes a bridge or a tap device; other names are of interfaces that exist.
func makeDevice(t *testing.T, name string) {
	t.Helper()
	if _, err := netlink.LinkByName(name); err == nil {
		return
	}
	switch name {
	case "bridge":
		makeBridge(t, name, "left")
	case "tap":
		attributes := netlink.NewLinkAttrs()
		attributes.Name = name
		// It has a carrier as long as a file descriptor holds it.
		device := &netlink.Tuntap{LinkAttrs: attributes, Mode: netlink.TUNTAP_MODE_TAP, NonPersist: true, Queues: 1}
		if err := netlink.LinkAdd(device); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Cleanup(func() { _ = netlink.LinkDel(device) })
		if err := lab.SetUp(name); err != nil {
			t.Fatal(err)
		}
	}
}

// countFrames counts the frames of [lab.Frame] in a capture that may still grow.
func countFrames(t *testing.T, file string) (n int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for packet, err := range stream.NewReader(bytes.NewReader(data)).Packets() {
		if err != nil {
			break // at the record that is being written
		}
		const length = 100
		if len(packet.Data) >= length {
			if _, ok := lab.Sequence(packet.Data[len(packet.Data)-length:]); ok {
				n++
			}
		}
	}
	return n
}

// startTcpdump captures on an interface into a file until stop is called.
func startTcpdump(t *testing.T, name, file string) (stop func()) {
	t.Helper()
	command := exec.Command("tcpdump", "-i", name, "-s", "256", "-B", "16384", "--immediate-mode", "-U", "-w", file)
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	messages := bufio.NewReader(stderr)
	for {
		line, err := messages.ReadString('\n')
		if err != nil {
			t.Fatalf("tcpdump: %v: %s", err, line)
		}
		if strings.Contains(line, "listening on") {
			break
		}
	}
	go io.Copy(io.Discard, messages)
	return func() {
		_ = command.Process.Signal(syscall.SIGINT)
		_ = command.Wait()
	}
}
