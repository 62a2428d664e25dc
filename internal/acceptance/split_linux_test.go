package acceptance

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// splitLab makes two veth pairs and a folder to work in, in a namespace. It receives on the
// far ends. The tools are in PATH.
func splitLab(t *testing.T) (receivers [2]*lab.Receiver) {
	t.Helper()
	linkTools(t)
	t.Chdir(t.TempDir())
	for i, side := range []string{"a", "b"} {
		lab.MakePair(t, side, side+"-far")
		receivers[i] = receiveOn(t, side+"-far")
	}
	return receivers
}

func receiveOn(t *testing.T, name string) *lab.Receiver {
	t.Helper()
	receiver, err := lab.NewReceiver(name, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.Close() })
	return receiver
}

// injectSplit runs pcap-inject on both interfaces, and returns what arrives on each side,
// the summary and the messages.
func injectSplit(t *testing.T, receivers [2]*lab.Receiver, code int, args ...string) (got [2][]stream.Packet, s record.InjectSummary, messages string) {
	t.Helper()
	command := exec.Command("pcap-inject", append([]string{"-i", "a", "-i", "b", "--report", "report.ndjson"}, args...)...)
	output, err := command.CombinedOutput()
	if exit := command.ProcessState.ExitCode(); exit != code {
		t.Fatalf("pcap-inject %v: exit %d, wanted %d: %v\n%s", args, exit, code, err, output)
	}
	for i, receiver := range receivers {
		if got[i], err = receiver.Receive(20*time.Millisecond, 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	s = readSummary(t)
	checkInterfaces(t, &s)
	return got, s, string(output)
}

// checkInterfaces checks that the figures of the interfaces add up to those of the run.
func checkInterfaces(t *testing.T, s *record.InjectSummary) {
	t.Helper()
	if len(s.Interfaces) != 2 || s.Interfaces[0].Interface != "a" || s.Interfaces[1].Interface != "b" || s.Interface != "" {
		t.Fatalf("the summary has the interfaces %+v", s.Interfaces)
	}
	var frames, size, changed int64
	var skipped record.NotSent
	for _, i := range s.Interfaces {
		frames, size, changed = frames+i.Frames, size+i.Bytes, changed+i.Padded+i.Truncated+i.Segmented
		skipped.Add(i.Skipped)
		if i.Device == nil || i.Device.Packets != uint64(i.Frames) {
			t.Errorf("the device of %s counted %+v, the summary %d frames", i.Interface, i.Device, i.Frames)
		}
	}
	if frames != s.Frames || size != s.Bytes || skipped != s.Skipped || changed != s.Padded+s.Truncated+s.Segmented {
		t.Errorf("the interfaces do not add up to the run: %+v", s)
	}
}

// twoWay makes packets of two hosts in turns of different lengths, with equal gaps: 1 from
// the first, 2 from the second, 3, 1, 2 and so on. They are numbered.
func twoWay(count int, gap time.Duration) []stream.Packet {
	packets := lab.Packets(count, lab.Start, gap, 64)
	fromFirst, left, turn := true, 1, 0
	for i := range packets {
		packets[i].Direction = stream.Inbound
		if !fromFirst {
			packets[i].Direction = stream.Outbound
			data := packets[i].Data
			copy(data, slices.Concat(data[6:12], data[:6]))
			copy(data[26:], slices.Concat(data[30:34], data[26:30], data[36:38], data[34:36]))
		}
		if left--; left == 0 {
			turn++
			fromFirst, left = !fromFirst, turn%3+1
		}
	}
	return packets
}

const fromFirstHost = "src port 10000"

// numberOf is the number of a packet of twoWay.
func numberOf(packet *stream.Packet) int {
	payload := packet.Data[42:46]
	return int(payload[0])<<24 | int(payload[1])<<16 | int(payload[2])<<8 | int(payload[3])
}

// inOrder merges what both sides received by the time of arrival, and returns how many
// packets came after one that follows them in the stream.
func inOrder(got [2][]stream.Packet) (reordered int) {
	all := slices.Concat(got[0], got[1])
	slices.SortStableFunc(all, func(a, b stream.Packet) int { return cmp.Compare(a.Time, b.Time) })
	latest := -1
	for i := range all {
		if number := numberOf(&all[i]); number < latest {
			reordered++
		} else {
			latest = number
		}
	}
	return reordered
}

// wantSides checks that each packet has arrived once, and on its side.
func wantSides(t *testing.T, got [2][]stream.Packet, sent []stream.Packet) {
	t.Helper()
	var want [2][]stream.Packet
	for i := range sent {
		if sent[i].Direction == stream.Outbound {
			want[1] = append(want[1], sent[i])
		} else {
			want[0] = append(want[0], sent[i])
		}
	}
	for side := range want {
		if !slices.EqualFunc(dataOf(got[side]), dataOf(want[side]), bytes.Equal) {
			t.Errorf("side %d: %d packets arrived, wanted %d, the same in the same order", side+1, len(got[side]), len(want[side]))
		}
	}
}

// A receiver on both sides sees the packets in the order of the stream.
func TestSplitKeepsTheOrder(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	for _, gap := range []time.Duration{100 * time.Microsecond, 10 * time.Microsecond} {
		packets := twoWay(2000, gap)
		lab.WriteCapture(t, "twoway.pcap", packets)
		for range 20 {
			got, _, _ := injectSplit(t, receivers, exitDone, "--delay", "20ms", "--split", fromFirstHost, "twoway.pcap")
			wantSides(t, got, packets)
			if reordered := inOrder(got); reordered > 0 {
				t.Errorf("gaps of %v: %d packets out of order", gap, reordered)
			}
		}
	}
}

// Every way of sending works with two interfaces.
func TestSplitWithEveryWayOfSending(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	packets := twoWay(5000, 20*time.Microsecond)
	lab.WriteCapture(t, "twoway.pcap", packets)
	for _, args := range []string{
		"--tx packet", "--tx bypass", "--tx xdp", "--asap", "--asap --tx packet", "--asap --tx xdp",
		"--verify", "--verify --tx packet", "--verify --tx xdp", "--realtime", "--realtime --tx xdp",
	} {
		t.Run(args, func(t *testing.T) {
			got, s, _ := injectSplit(t, receivers, exitDone, append(strings.Fields(args), "--split", fromFirstHost, "twoway.pcap")...)
			wantSides(t, got, packets)
			if reordered := inOrder(got); reordered > 0 {
				t.Errorf("%d packets out of order", reordered)
			}
			if strings.Contains(args, "verify") && s.Stamped != s.Frames {
				t.Errorf("the kernel stamped %d frames of %d", s.Stamped, s.Frames)
			}
		})
	}
}

// The kernel's timestamps of each interface are compared with the departures of its own
// frames. Those of the other side are 5 ms away and more.
func TestSplitVerifiesEachInterface(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	lab.WriteCapture(t, "slow.pcap", twoWay(200, 5*time.Millisecond))
	for _, tx := range []string{"auto", "xdp"} {
		_, s, _ := injectSplit(t, receivers, exitDone, "--verify", "--tx", tx, "--split", fromFirstHost, "slow.pcap")
		if s.Stamped != 200 || s.Verified.P50 < s.Lateness.P50 || s.Verified.P50 > s.Lateness.P50+0.0025 {
			t.Errorf("--tx %s: half of the frames are late by %v s, by the kernel's stamps of %d frames by %v s", tx, s.Lateness.P50, s.Stamped, s.Verified.P50)
		}
	}
}

// The sides are those that tcpdump and the capture say.
func TestSplitSides(t *testing.T) {
	lab.NeedProgram(t, "tcpdump")
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	packets := twoWay(300, 100*time.Microsecond)
	lab.WriteCapture(t, "twoway.pcap", packets)
	var directed bytes.Buffer
	w, err := stream.NewWriter(&directed, stream.WriterOptions{PcapNG: true})
	if err == nil {
		err = errors.Join(w.Write(packets), w.Close(), os.WriteFile("directed.pcapng", directed.Bytes(), 0o666))
	}
	if err != nil {
		t.Fatal(err)
	}
	const expression = "udp[11] & 3 = 1 and src port 10000"
	matching := map[int]bool{}
	for _, packet := range lab.ReadPackets(t, bytes.NewReader(shell(t, "tcpdump -r twoway.pcap -w - '"+expression+"'"))) {
		matching[numberOf(&packet)] = true
	}
	if len(matching) == 0 {
		t.Fatal("tcpdump finds no packets")
	}
	byExpression := slices.Clone(packets)
	for i := range byExpression {
		byExpression[i].Direction = stream.Outbound
		if matching[i] {
			byExpression[i].Direction = stream.Inbound
		}
	}
	undirected := slices.Clone(packets)
	for i := range undirected {
		undirected[i].Direction = stream.DirectionUnknown
	}
	for _, test := range []struct {
		split, file string
		want        []stream.Packet
		undecided   int64
		message     string
	}{
		{expression, "twoway.pcap", byExpression, 0, ""},
		{"clients", "twoway.pcap", packets, 0, ""},
		{"direction", "directed.pcapng", packets, 0, ""},
		{"direction", "twoway.pcap", undirected, 300, "warning: --split direction: the packet of 2020-09-13T12:26:40.000000000Z has no direction"},
	} {
		t.Run(test.split+" "+test.file, func(t *testing.T) {
			got, s, messages := injectSplit(t, receivers, exitDone, "--split", test.split, test.file)
			wantSides(t, got, test.want)
			if s.Undecided != test.undecided || !strings.Contains(messages, test.message) {
				t.Errorf("%d packets undecided, wanted %d; %s", s.Undecided, test.undecided, messages)
			}
		})
	}
}

// Packets are split as they were captured, and then rewritten.
func TestSplitComesBeforeRewriting(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	packets := twoWay(100, 100*time.Microsecond)
	lab.WriteCapture(t, "twoway.pcap", packets)
	got, _, _ := injectSplit(t, receivers, exitDone, "--map", "10.0.0.1/32=10.0.0.2/32", "--map", "10.0.0.2/32=10.0.0.1/32", "--split", "src host 10.0.0.1", "twoway.pcap")
	for i := range packets {
		addresses := packets[i].Data[26:34]
		copy(addresses, slices.Concat(addresses[4:], addresses[:4]))
	}
	wantSides(t, got, packets)
}

// Each interface has limits and counters of its own.
func TestSplitHasLimitsOfEachInterface(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	for _, name := range []string{"b", "b-far"} {
		if err := lab.SetMTU(name, 9000); err != nil {
			t.Fatal(err)
		}
	}
	packets := twoWay(6, 100*time.Microsecond) // of the hosts 1, 2, 2, 1, 1, 1
	for _, i := range []int{0, 1} {
		packets[i].Data = append(packets[i].Data, make([]byte, 1700)...)
		packets[i].WireLength = uint32(len(packets[i].Data))
	}
	lab.WriteCapture(t, "long.pcap", packets)
	got, s, messages := injectSplit(t, receivers, exitDamaged, "--split", fromFirstHost, "long.pcap")
	wantSides(t, got, packets[1:])
	if a, b := s.Interfaces[0], s.Interfaces[1]; a.Skipped.Oversize != 1 || b.Skipped.Total() != 0 || a.Frames != 3 || b.Frames != 2 {
		t.Errorf("%+v", s.Interfaces)
	}
	if want := "not sent on a: 1764 bytes, but at most 1514 can be sent"; !strings.Contains(messages, want) || !strings.Contains(messages, "ip link set a mtu 1750") {
		t.Errorf("wanted %q, and how to mend it: %s", want, messages)
	}
	got, s, _ = injectSplit(t, receivers, exitDone, "--oversize", "truncate", "--split", fromFirstHost, "long.pcap")
	packets[0].Data = packets[0].Data[:1514]
	wantSides(t, got, packets)
	if s.Interfaces[0].Truncated != 1 || s.Interfaces[1].Truncated != 0 {
		t.Errorf("%+v", s.Interfaces)
	}
}

// All segments of a packet leave on the side of the packet.
func TestSplitSegments(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	packets := twoWay(2, time.Millisecond)
	for i := range packets {
		packets[i].Data = superframe()
		packets[i].Data[33] = byte(i) // of the destination
		packets[i].WireLength = uint32(len(packets[i].Data))
	}
	lab.WriteCapture(t, "tso.pcap", packets)
	got, s, _ := injectSplit(t, receivers, exitDone, "--oversize", "segment", "--split", "dst host 10.0.0.0", "tso.pcap")
	for side := range got {
		if len(got[side]) != 3 || got[side][2].Data[33] != byte(side) || s.Interfaces[side].Segmented != 1 || s.Interfaces[side].Frames != 3 {
			t.Errorf("side %d: %d frames arrived, %+v", side+1, len(got[side]), s.Interfaces[side])
		}
	}
}

// If the MTU of one interface falls during the run, frames are left out only there.
func TestSplitMTUFalls(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	packets := twoWay(1000, time.Millisecond)
	for i := range packets {
		packets[i].Data = append(packets[i].Data, make([]byte, 1000)...)
		packets[i].WireLength = uint32(len(packets[i].Data))
	}
	lab.WriteCapture(t, "large.pcap", packets)
	fallen := make(chan error, 1)
	go func() {
		device, err := wire.Lookup("b")
		for counted := (wire.Counters{}); err == nil && counted.Packets == 0; {
			time.Sleep(time.Millisecond)
			counted, err = device.Counters()
		}
		if err == nil {
			err = lab.SetMTU("b", 500)
		}
		fallen <- err
	}()
	got, s, messages := injectSplit(t, receivers, exitDamaged, "--split", fromFirstHost, "large.pcap")
	if err := <-fallen; err != nil {
		t.Fatal(err)
	}
	a, b := s.Interfaces[0], s.Interfaces[1]
	if a.Skipped.Total() != 0 || len(got[0]) != int(a.Frames) || b.Skipped.Oversize == 0 || len(got[1]) != int(b.Frames) || b.Frames+b.Skipped.Oversize+a.Frames != 1000 {
		t.Errorf("%d and %d frames arrived: %+v", len(got[0]), len(got[1]), s.Interfaces)
	}
	if !strings.Contains(messages, `not sent on b: interface "b": frame of 1064 bytes`) {
		t.Error(messages)
	}
}

// If one interface goes down, the run ends and names it. What was sent on both is counted.
func TestSplitInterfaceGoesDown(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	splitLab(t)
	lab.WriteCapture(t, "long.pcap", twoWay(30000, time.Millisecond))
	s := failsWhenDown(t, "b", "-i", "a", "-i", "b", "--split", fromFirstHost, "long.pcap")
	if s.Frames == 0 || s.Frames != s.Interfaces[0].Frames+s.Interfaces[1].Frames {
		t.Errorf("%+v", s)
	}
}

// Through an inline device, here a bridge, every packet arrives once on the other side.
func TestSplitThroughABridge(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	splitLab(t)
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "device"
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a-far", "b-far"} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetMaster(link, bridge)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.SetUp("device"); err != nil {
		t.Fatal(err)
	}
	behind := [2]*lab.Receiver{receiveOn(t, "b"), receiveOn(t, "a")}
	packets := twoWay(2000, 100*time.Microsecond)
	lab.WriteCapture(t, "twoway.pcap", packets)
	for _, split := range []string{fromFirstHost, "clients"} {
		got, _, _ := injectSplit(t, behind, exitDone, "--split", split, "twoway.pcap")
		for side := range got { // the bridge itself may send
			got[side] = slices.DeleteFunc(got[side], func(p stream.Packet) bool { return len(p.Data) != 64 })
		}
		wantSides(t, got, packets)
	}
}

// What stands beside the corpus arrives in order, too: two hosts that both send from the
// same port.
func TestSplitOfTheCase(t *testing.T) {
	const file = "/../shared/cases/bidir.pcap.gz"
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimSuffix(folder, "/internal/acceptance") + file
	if _, err := os.Stat(path); err != nil {
		t.Skip("no ../shared/cases beside the project")
	}
	if !lab.InNamespace(t) {
		return
	}
	receivers := splitLab(t)
	sent := lab.ReadCapture(t, path)
	for i := range sent {
		sent[i].Direction = stream.Inbound
		if bytes.Equal(sent[i].Data[26:30], []byte{10, 0, 0, 2}) {
			sent[i].Direction = stream.Outbound
		}
	}
	for _, speed := range []string{"1", "10"} { // gaps of 100 and 10 us
		shell(t, "pcap-pace --asap --speed "+speed+" "+path+" > paced.pcap")
		got, _, _ := injectSplit(t, receivers, exitDone, "--split", "src host 10.0.0.1", "paced.pcap")
		wantSides(t, got, sent)
		all := slices.Concat(got[0], got[1])
		slices.SortStableFunc(all, func(a, b stream.Packet) int { return cmp.Compare(a.Time, b.Time) })
		if !slices.EqualFunc(dataOf(all), dataOf(sent), bytes.Equal) {
			t.Errorf("speed %s: %d packets arrived, not in the order of the capture", speed, len(all))
		}
	}
}
