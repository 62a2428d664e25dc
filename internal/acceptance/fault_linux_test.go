package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/wire"
)

// deviceFault is what befalls the ends of a veth pair while a run lasts, and how
// the run ends then: by itself (words is empty), or with a message.
type deviceFault struct {
	name    string
	inflict func(left, right string) error
	// recover is called once pcap-inject has said words; it may be nil.
	recover func(left string) error
	code    int
	words   string
}

const smallerMTU = 600

var deviceFaults = []deviceFault{
	{"removed", func(left, _ string) error {
		return netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: left}})
	}, nil, exitFailed, `": `},
	{"down", func(left, _ string) error { return lab.SetDown(left) }, nil, exitFailed, "interface is down"},
	{"down and up again", func(left, _ string) error { return lab.SetDown(left) }, lab.SetUp, exitFailed, "interface is down"},
	{"other end down", func(_, right string) error { return lab.SetDown(right) }, nil, exitFailed, "interface has no carrier"},
	{"smaller MTU", func(left, _ string) error { return lab.SetMTU(left, smallerMTU) }, nil, exitDamaged, "longer than the MTU allows"},
	{"smaller MTU on both ends", func(left, right string) error {
		if err := lab.SetMTU(left, smallerMTU); err != nil {
			return err
		}
		return lab.SetMTU(right, smallerMTU)
	}, nil, exitDamaged, "longer than the MTU allows"},
	{"smaller MTU on the other end", func(_, right string) error { return lab.SetMTU(right, smallerMTU) }, nil, exitFailed, "refused by the device"},
}

// Whatever befalls an interface in mid-run, what was sent arrives, and what was
// not is counted.
func TestInterfacesChangeInMidRun(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	linkTools(t)
	capture := filepath.Join(t.TempDir(), "long.pcap")
	packets := lab.Packets(1500, lab.Start, time.Millisecond, 100)
	for i := range packets {
		packets[i].Data = lab.Frame(0, uint32(i), 100+i%2*1000)
		packets[i].WireLength = uint32(len(packets[i].Data))
	}
	lab.WriteCapture(t, capture, packets)
	var runs sync.WaitGroup
	defer runs.Wait()
	// Without root, more than a few AF_XDP sockets at a time are over RLIMIT_MEMLOCK.
	room := make(map[string]chan bool)
	for _, way := range []string{"packet", "bypass", "xdp"} {
		room[way] = make(chan bool, 3)
	}
	for number, fault := range deviceFaults {
		for way := range room {
			left, right := fmt.Sprintf("%s%da", way, number), fmt.Sprintf("%s%db", way, number)
			runs.Go(func() {
				room[way] <- true
				defer func() { <-room[way] }()
				t.Run(fault.name+", "+way, func(t *testing.T) { injectUnderFault(t, fault, way, left, right, capture) })
			})
		}
	}
}

// injectUnderFault runs pcap-inject, and has the fault happen in the middle.
func injectUnderFault(t *testing.T, fault deviceFault, way, left, right, capture string) {
	lab.MakePair(t, left, right)
	receiver, err := lab.NewReceiver(right, 32<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	report, stderr := filepath.Join(t.TempDir(), "report.ndjson"), filepath.Join(t.TempDir(), "stderr")
	messages, err := os.Create(stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	command := exec.CommandContext(t.Context(), "pcap-inject", "-i", left, "--tx", way, "--report", report, capture)
	command.Stderr = messages
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	device, err := wire.Lookup(left)
	if err != nil {
		t.Fatal(err)
	}
	lab.Await(t, "200 packets are sent", func() bool {
		counted, err := device.Counters()
		return err != nil || counted.Packets > 200
	})
	if err := fault.inflict(left, right); err != nil {
		t.Error(err)
	}
	said := func() string { text, _ := os.ReadFile(stderr); return string(text) }
	if fault.recover != nil {
		lab.Await(t, fault.words, func() bool { return strings.Contains(said(), fault.words) })
		if err := fault.recover(left); err != nil {
			t.Error(err)
		}
	}
	_ = command.Wait()
	got, err := receiver.Receive(time.Second, 150*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if code := command.ProcessState.ExitCode(); code != fault.code || !strings.Contains(said(), fault.words) {
		t.Errorf("%v, wanted %d and %q:\n%s", command.ProcessState, fault.code, fault.words, said())
	}
	s := lab.SummaryOf[record.InjectSummary](t, report)
	if s.PacketsIn != s.Filtered+s.Skipped.Total()+s.ReadAhead+s.PacketsOut || s.Exit != fault.code {
		t.Errorf("the summary does not add up: %+v", s)
	}
	if s.PacketsOut == 0 || int(s.PacketsOut-s.QueueDropped) != len(got) {
		t.Errorf("%d sent, %d dropped, %d arrived", s.PacketsOut, s.QueueDropped, len(got))
	}
	if s.Skipped.Oversize == 0 && fault.code == exitDamaged {
		t.Errorf("nothing was too long: %+v", s)
	}
}
