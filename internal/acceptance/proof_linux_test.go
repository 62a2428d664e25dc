package acceptance

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// comparisonOf is what pcap-map --against says.
func comparisonOf(t *testing.T, reference, capture string, flags ...string) (c record.Comparison) {
	t.Helper()
	command := exec.Command("pcap-map", append(flags, "--against", reference, capture)...)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	if err := record.NewDecoder(bytes.NewReader(output)).Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A bridge whose queue is too slow for the set of the demo drops packets: as many are
// missing as the queue has counted, and nothing else is wrong.
func TestMissingIsWhatABridgeDropped(t *testing.T) {
	lab.NeedProgram(t, "tc")
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "west")
	lab.MakePair(t, "east", "right")
	makeBridge(t, "bridge", "west", "east")
	linkTools(t)
	makeSet(t, lab.DemoSet)
	// The set has some 13 Mbit/s. Played four times as fast, it exceeds the rate of the
	// queue by far, however late the packets come.
	slowDown(t, "east", 2e6/8, 20e3)
	shell(t, "pcap-merge -o sent.pcap captures")
	received := replay(t, "pcap-pace -q --speed 4 sent.pcap | pcap-inject -q -i left")
	lab.WriteCapture(t, "arrived.pcap", received)
	dropped := droppedBy(t, "east")
	c := comparisonOf(t, "sent.pcap", "arrived.pcap", "--speed", "4")
	t.Logf("%d of %d packets dropped", dropped, c.Reference.Packets)
	if dropped == 0 || c.Missing != dropped {
		t.Errorf("%d packets missing, and the queue dropped %d", c.Missing, dropped)
	}
	if c.Matched != c.Reference.Packets-dropped || c.Extra+c.Altered+c.Duplicated+c.Reordered+c.Displaced != 0 {
		t.Errorf("wanted all others matched: %+v", c)
	}
}

// makeBridge makes a bridge of interfaces that exist. It sends nothing of its own: a bridge
// that looks into IGMP reports that it listens to other such bridges (RFC 4286).
func makeBridge(t *testing.T, name string, ports ...string) {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: attributes, MulticastSnooping: &snooping}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(bridge) })
	for _, port := range ports {
		link, err := netlink.LinkByName(port)
		if err == nil {
			err = netlink.LinkSetMaster(link, bridge)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.SetUp(name); err != nil {
		t.Fatal(err)
	}
}

// slowDown gives an interface a queue of so many bytes that sends so many bytes a second:
// tc-tbf(8).
func slowDown(t *testing.T, name string, rate, size float64) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	queue := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       uint64(rate), Limit: uint32(size), Buffer: 10000,
	}
	if err := netlink.QdiscReplace(queue); err != nil {
		t.Fatalf("%s: tbf: %v", name, err)
	}
}

// droppedBy waits until the queue of an interface is empty, and returns how many packets it
// has dropped.
func droppedBy(t *testing.T, name string) int64 {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var queues []struct {
			Drops, Qlen int64
		}
		if err := json.Unmarshal(shell(t, "tc -s -j qdisc show dev "+name+" root"), &queues); err != nil || len(queues) != 1 {
			t.Fatalf("%s: %d queues, wanted 1; error: %v", name, len(queues), err)
		}
		if queues[0].Qlen == 0 {
			return queues[0].Drops
		}
	}
	t.Fatalf("%s: the queue does not become empty", name)
	return 0
}

// The yardstick is a measure that was made outside the project. Both give the same figures
// for the same capture.
func TestAgreesWithTheYardstick(t *testing.T) {
	source := lab.Yardstick(t)
	lab.NeedProgram(t, "unshare")
	if !lab.InNamespace(t) {
		return
	}
	folder := linkTools(t)
	for _, program := range []string{"mkpcap", "gapcap"} {
		build := exec.Command("go", "build", "-o", folder, "./"+program)
		build.Dir = source
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", build, err, output)
		}
	}
	t.Chdir(t.TempDir())
	lab.MakePair(t, "left", "right")
	for _, gaps := range []string{"-n 2000 -gap 100us,20us,1ms", "-n 4000 -exp -gap 50us"} {
		said := string(shell(t, fmt.Sprintf(`rm -f ready
			mkpcap %s > sent.pcap
			unshare --mount sh -c 'mount -t sysfs none /sys && exec gapcap -i right -src sent.pcap -label test -ready ready -w stamps.pcap' & yardstick=$!
			until [ -e ready ]; do kill -0 $yardstick && sleep 0.01; done
			pcap-inject -q -i left sent.pcap && wait $yardstick`, gaps)))
		restoreFrames(t, "stamps.pcap", "sent.pcap", "arrived.pcap")
		c := comparisonOf(t, "sent.pcap", "arrived.pcap", "--speed", "1")
		t.Logf("%s%+v %+v", said, *c.GapError, *c.ScheduleError)
		var n, of int64
		var reordered int
		var gap50, gap90, gap99, gap999, gapMax, schedule50, schedule99, scheduleMax float64
		_, err := fmt.Sscanf(said[strings.Index(said, "n="):strings.Index(said, " drift")],
			"n=%d/%d reord=%d dur=", &n, &of, &reordered)
		if err == nil {
			_, err = fmt.Sscanf(said[strings.Index(said, "us p50="):], "us p50=%f p90=%f p99=%f p99.9=%f max=%f", &gap50, &gap90, &gap99, &gap999, &gapMax)
		}
		if err == nil {
			_, err = fmt.Sscanf(said[strings.LastIndex(said, "us p50="):], "us p50=%f p99=%f max=%f", &schedule50, &schedule99, &scheduleMax)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		if c.Matched != n || c.Missing != of-n {
			t.Errorf("%d matched and %d missing, the yardstick has %d of %d", c.Matched, c.Missing, n, of)
		}
		for name, pair := range map[string][2]float64{
			"gap p50": {c.GapError.P50, gap50}, "gap p90": {c.GapError.P90, gap90}, "gap p99": {c.GapError.P99, gap99},
			"gap p99.9": {c.GapError.P999, gap999}, "gap max": {c.GapError.Max, gapMax},
			"schedule p50": {c.ScheduleError.P50, schedule50}, "schedule p99": {c.ScheduleError.P99, schedule99}, "schedule max": {c.ScheduleError.Max, scheduleMax},
		} {
			// Both take the value of the same rank.
			if ours, theirs := pair[0]*1e6, pair[1]; math.Abs(ours-theirs) > max(theirs/10, 0.05) { // a tenth, or 50 ns
				t.Errorf("%s: %v us, the yardstick says %v", name, ours, theirs)
			}
		}
	}
}

// restoreFrames writes a capture of the yardstick, which has only times and the numbers of
// frames, with the frames themselves.
func restoreFrames(t *testing.T, stamps, sent, to string) {
	t.Helper()
	frames, arrived := lab.ReadCapture(t, sent), lab.ReadCapture(t, stamps)
	var restored []stream.Packet
	for _, packet := range arrived {
		const numberAt = 46
		p := frames[binary.BigEndian.Uint64(packet.Data[numberAt:])]
		p.Time = packet.Time
		restored = append(restored, p)
	}
	lab.WriteCapture(t, to, restored)
}
