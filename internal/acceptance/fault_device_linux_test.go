package acceptance

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// An MTU that is too large for AF_XDP is no obstacle, unless AF_XDP was asked for.
func TestJumboFramesNeedPacketSockets(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	var packets []stream.Packet
	for i := range 100 {
		frame := lab.Frame(0, uint32(i), 60+i*90)
		packets = append(packets, stream.Packet{Time: lab.Start, Data: frame, WireLength: uint32(len(frame)), LinkType: stream.LinkTypeEthernet})
	}
	lab.WriteCapture(t, "jumbo.pcap", packets)
	for _, test := range []struct {
		mtu int
		tx  string
	}{{9000, "bypass"}, {4079, "bypass"}, {4078, "xdp"}} {
		fits := slices.IndexFunc(packets, func(p stream.Packet) bool { return len(p.Data) > test.mtu+14 })
		code := exitDamaged
		if fits < 0 {
			fits, code = len(packets), exitDone
		}
		for _, name := range []string{"left", "right"} {
			if err := lab.SetMTU(name, test.mtu); err != nil {
				t.Fatal(err)
			}
		}
		got, summary := inject(t, receiver, code, "--asap", "jumbo.pcap")
		if summary.Tx != test.tx || !slices.EqualFunc(dataOf(got), dataOf(packets[:fits]), bytes.Equal) {
			t.Errorf("MTU %d: %d frames arrived by %s, wanted %d by %s", test.mtu, len(got), summary.Tx, fits, test.tx)
		}
		if test.tx == "xdp" {
			continue
		}
		output, err := exec.Command("pcap-inject", "-i", "left", "--tx", "xdp", "jumbo.pcap").CombinedOutput()
		if err == nil || !strings.Contains(string(output), "is too large for AF_XDP") {
			t.Errorf("--tx xdp with an MTU of %d: %v\n%s", test.mtu, err, output)
		}
	}
}

// An interface that goes down and comes back at once may end a run, or not; what was
// sent arrives, and what was not is counted.
func TestInterfaceFlaps(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	packets := lab.Packets(8000, lab.Start, 100*time.Microsecond, 200)
	lab.WriteCapture(t, "long.pcap", packets)
	for _, way := range []string{"packet", "bypass", "xdp"} {
		t.Run(way, func(t *testing.T) {
			report := filepath.Join(t.TempDir(), "report")
			command := exec.Command("pcap-inject", "-i", "left", "--tx", way, "--report", report, "long.pcap")
			var messages bytes.Buffer
			command.Stderr = &messages
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			for flapping := true; flapping; {
				select {
				case <-ended:
					flapping = false
				case <-time.After(100 * time.Millisecond):
					for _, change := range []func(string) error{lab.SetDown, lab.SetUp} {
						if err := change("left"); err != nil {
							t.Error(err)
						}
					}
				}
			}
			got, err := receiver.Receive(time.Second, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			s := lab.SummaryOf[record.InjectSummary](t, report)
			said := strings.Contains(messages.String(), "interface is down") || strings.Contains(messages.String(), "no carrier")
			hinted := strings.Contains(messages.String(), "\npcap-inject: hint: ")
			switch code := command.ProcessState.ExitCode(); {
			case code == exitDone && int(s.PacketsOut) == len(packets):
			case code == exitFailed && said && hinted && s.PacketsIn == s.PacketsOut+s.ReadAhead:
			default:
				t.Errorf("%v: %+v\n%s", command.ProcessState, s, messages.String())
			}
			if int(s.PacketsOut-s.QueueDropped) != len(got) {
				t.Errorf("%d sent, %d dropped, %d arrived", s.PacketsOut, s.QueueDropped, len(got))
			}
		})
	}
}
