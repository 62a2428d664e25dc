package acceptance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// injectLab makes a veth pair and a folder to work in, in a namespace. The tools
// are in PATH.
func injectLab(t *testing.T) *lab.Receiver {
	t.Helper()
	lab.MakePair(t, "left", "right")
	linkTools(t)
	t.Chdir(t.TempDir())
	receiver, err := lab.NewReceiver("right", 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.Close() })
	return receiver
}

// inject runs pcap-inject on "left" and gives what arrives and its summary.
func inject(t *testing.T, receiver *lab.Receiver, code int, args ...string) ([]stream.Packet, record.InjectSummary) {
	t.Helper()
	command := exec.Command("pcap-inject", append([]string{"-i", "left", "--report", "report.ndjson"}, args...)...)
	output, err := command.CombinedOutput()
	if got := command.ProcessState.ExitCode(); got != code {
		t.Fatalf("pcap-inject %v: exit %d, wanted %d: %v\n%s", args, got, code, err, output)
	}
	packets, err := receiver.Receive(2*time.Second, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return packets, readSummary(t)
}

// readSummary reads the end of report.ndjson and checks that it adds up.
func readSummary(t *testing.T) (s record.InjectSummary) {
	t.Helper()
	report, err := os.Open("report.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	decoder := record.NewDecoder(report)
	for s.Event != "summary" {
		if err := decoder.Decode(&s); err != nil {
			t.Fatal(err)
		}
	}
	if s.PacketsIn != s.Filtered+s.Skipped.Total()+s.ReadAhead+s.PacketsOut {
		t.Errorf("the summary does not add up: %+v", s)
	}
	if s.Device != nil && s.Device.Packets != uint64(s.Frames-s.QueueDropped) {
		t.Errorf("the device counted %d packets, the summary %d frames, of which %d were dropped", s.Device.Packets, s.Frames, s.QueueDropped)
	}
	return s
}

func dataOf(packets []stream.Packet) (data [][]byte) {
	for i := range packets {
		data = append(data, packets[i].Data)
	}
	return data
}

// Each way of sending sends everything, and the device agrees.
func TestEveryWaySendsEverything(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	var packets []stream.Packet
	for i := range 20000 {
		frame := lab.Frame(uint16(i%16), uint32(i), 60+i%1400)
		packets = append(packets, stream.Packet{Time: lab.Start + int64(i)*1e4, Data: frame, WireLength: uint32(len(frame)), LinkType: stream.LinkTypeEthernet})
	}
	lab.WriteCapture(t, "set.pcap", packets)
	for _, args := range [][]string{
		{"set.pcap"}, {"--asap", "set.pcap"}, {"--asap", "--tx", "packet", "set.pcap"}, {"--tx", "bypass", "set.pcap"}, {"--tx", "xdp", "set.pcap"},
		{"--asap", "--tx", "xdp", "--workers", "2", "set.pcap"}, {"--workers", "3", "--tx", "packet", "set.pcap"}, {"--realtime", "--verify", "set.pcap"},
		{"--verify", "--tx", "packet", "set.pcap"}, {"--verify", "--tx", "xdp", "set.pcap"}, {"--verify", "--tx", "xdp", "--workers", "2", "set.pcap"},
		{"--spin", "set.pcap"}, {"--spin", "--realtime", "--workers", "2", "set.pcap"}, {"--realtime", "--asap", "set.pcap"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			got, summary := inject(t, receiver, exitDone, args...)
			if summary.PacketsOut != 20000 || len(got) != 20000 {
				t.Fatalf("%d sent, %d arrived", summary.PacketsOut, len(got))
			}
			if slices.Contains(args, "--verify") && summary.Stamped != summary.Frames {
				t.Errorf("the kernel stamped %d frames of %d", summary.Stamped, summary.Frames)
			}
			if !slices.Contains(args, "--workers") {
				if !slices.EqualFunc(dataOf(got), dataOf(packets), bytes.Equal) {
					t.Error("the frames differ, or their order")
				}
				return
			}
			last := map[uint16]uint32{} // of each flow
			for i := range got {
				flow := binary.BigEndian.Uint16(got[i].Data[34:])
				sequence, _ := lab.Sequence(got[i].Data)
				if !bytes.Equal(got[i].Data, packets[sequence].Data) || sequence < last[flow] {
					t.Fatalf("frame %d of flow %d came after %d", sequence, flow, last[flow])
				}
				last[flow] = sequence
			}
		})
	}
}

// The kernel's timestamps are those of the right frames: on a veth, a frame leaves a few
// microseconds after it was handed to the kernel.
func TestVerifiedLateness(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	const gap = 2e6 // nanoseconds
	packets := lab.Packets(500, lab.Start, gap, 100)
	lab.WriteCapture(t, "set.pcap", packets)
	for _, tx := range []string{"packet", "bypass", "xdp"} {
		t.Run(tx, func(t *testing.T) {
			_, summary := inject(t, receiver, exitDone, "--verify", "--tx", tx, "set.pcap")
			if summary.Stamped != int64(len(packets)) || summary.Verified == nil {
				t.Fatalf("the kernel stamped %d frames of %d", summary.Stamped, len(packets))
			}
			later := summary.Verified.P50 - summary.Lateness.P50
			t.Logf("median lateness %.1f us when handed to the kernel, %.1f us by the kernel", summary.Lateness.P50*1e6, summary.Verified.P50*1e6)
			rounding := summary.Lateness.P50 / 50 // 1 % in each histogram
			if later < -rounding || later > gap/4/1e9 {
				t.Errorf("a frame leaves %.1f us after it was handed to the kernel", later*1e6)
			}
		})
	}
}

// What does not fit on the wire is treated as the flags say.
func TestFramesAreMadeToFit(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	ethernet := func(data []byte, wireLength int) stream.Packet {
		return stream.Packet{Time: lab.Start, Data: data, WireLength: uint32(max(wireLength, len(data))), LinkType: stream.LinkTypeEthernet}
	}
	full := lab.Frame(0, 1, 1000)
	cut := ethernet(full[:100], 1000)
	runt := ethernet(full[:42], 42)
	noHeader := ethernet(full[:10], 10)
	tagged := ethernet(slices.Concat(full[:12], []byte{0x81, 0, 0, 5}, lab.Frame(0, 1, 1514)[12:]), 0)
	hugeCut := ethernet(full[:100], 2_000_000_000)
	lab.WriteCapture(t, "mixed.pcap", []stream.Packet{cut, runt, noHeader, tagged, hugeCut})
	raw := ethernet(full[14:], 0)
	raw.LinkType = stream.LinkTypeRaw
	lab.WriteCapture(t, "raw.pcap", []stream.Packet{raw})

	for _, test := range []struct {
		args    []string
		code    int
		arrived []int // lengths
		skipped record.NotSent
	}{
		{[]string{"mixed.pcap"}, exitDamaged, []int{1000, 42, 1518}, record.NotSent{Oversize: 1, Short: 1}},
		{[]string{"--short", "asis", "mixed.pcap"}, exitDamaged, []int{100, 42, 1518, 100}, record.NotSent{Short: 1}},
		{[]string{"--short", "skip", "mixed.pcap"}, exitDone, []int{42, 1518}, record.NotSent{Short: 3}},
		{[]string{"--oversize", "truncate", "mixed.pcap"}, exitDamaged, []int{1000, 42, 1518, 1514}, record.NotSent{Short: 1}},
		{[]string{"--oversize", "segment", "mixed.pcap"}, exitDamaged, []int{1000, 42, 1518}, record.NotSent{Oversize: 1, Short: 1}},
		{[]string{"--link", "ethernet", "raw.pcap"}, exitDone, []int{1000}, record.NotSent{}},
		{[]string{"mixed.pcap", "raw.pcap"}, exitDamaged, []int{1000, 42, 1518}, record.NotSent{Oversize: 1, Short: 1, LinkType: 1}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			got, summary := inject(t, receiver, test.code, test.args...)
			var lengths []int
			for i := range got {
				lengths = append(lengths, len(got[i].Data))
			}
			if !slices.Equal(lengths, test.arrived) || summary.Skipped != test.skipped {
				t.Errorf("frames of %v bytes arrived, wanted %v; skipped %+v, wanted %+v", lengths, test.arrived, summary.Skipped, test.skipped)
			}
		})
	}
}

// If a packet has more bytes in the capture than on the wire, only its length on the wire
// is sent.
func TestOverlongPacketsAreCut(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	frame := lab.Frame(0, 1, 1530)
	overlong := func(wireLength uint32) stream.Packet {
		return stream.Packet{Time: lab.Start, Data: frame, WireLength: wireLength, LinkType: stream.LinkTypeEthernet}
	}
	lab.WriteCapture(t, "fits.pcap", []stream.Packet{overlong(1514), overlong(785)})
	lab.WriteCapture(t, "oversize.pcap", []stream.Packet{overlong(1515), overlong(785)})
	lab.WriteCapture(t, "nothing.pcap", []stream.Packet{overlong(0), overlong(13), overlong(785)})
	raw := overlong(785)
	raw.Data, raw.LinkType = frame[14:], stream.LinkTypeRaw
	lab.WriteCapture(t, "raw.pcap", []stream.Packet{raw})
	for _, test := range []struct {
		args     []string
		code     int
		arrived  []int // lengths
		skipped  record.NotSent
		overlong int64
	}{
		{[]string{"fits.pcap"}, exitDone, []int{1514, 785}, record.NotSent{}, 2},
		{[]string{"--limit", "1", "fits.pcap"}, exitDone, []int{1514}, record.NotSent{}, 1},
		{[]string{"--filter", "len == 785", "fits.pcap"}, exitDone, []int{785}, record.NotSent{}, 1},
		{[]string{"--workers", "2", "--tx", "packet", "fits.pcap"}, exitDone, []int{1514, 785}, record.NotSent{}, 2},
		{[]string{"oversize.pcap"}, exitDamaged, []int{785}, record.NotSent{Oversize: 1}, 2},
		{[]string{"--oversize", "truncate", "oversize.pcap"}, exitDone, []int{1514, 785}, record.NotSent{}, 2},
		{[]string{"nothing.pcap"}, exitDamaged, []int{785}, record.NotSent{Short: 2}, 3},
		{[]string{"--link", "ethernet", "raw.pcap"}, exitDone, []int{799}, record.NotSent{}, 1},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			got, summary := inject(t, receiver, test.code, test.args...)
			var lengths []int
			total := int64(0)
			for i := range got {
				lengths = append(lengths, len(got[i].Data))
				total += int64(len(got[i].Data))
				if start := frame[:min(len(got[i].Data), len(frame))]; test.args[0] != "--link" && !bytes.Equal(got[i].Data, start) {
					t.Errorf("frame %d has other bytes than the capture", i)
				}
			}
			if !slices.Equal(lengths, test.arrived) || summary.Skipped != test.skipped || summary.Overlong != test.overlong || summary.Bytes != total {
				t.Errorf("frames of %v bytes arrived, wanted %v; skipped %+v, wanted %+v; %d overlong, wanted %d; %d bytes",
					lengths, test.arrived, summary.Skipped, test.skipped, summary.Overlong, test.overlong, summary.Bytes)
			}
		})
	}
}

// Where the capture says that frames end in a frame check sequence, that is not sent, and
// frames are judged without it, whichever tools stand in front.
func TestFCSIsNotSent(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	var packets []stream.Packet
	for _, length := range []int{64, 1518, 104} {
		frame := lab.Frame(0, uint32(length), length)
		packets = append(packets, stream.Packet{Time: lab.Start, Data: frame, WireLength: uint32(length), LinkType: stream.LinkTypeEthernet})
	}
	file := lab.Pcap(packets, binary.LittleEndian, true)
	if err := os.WriteFile("plain.pcap", file, 0o666); err != nil {
		t.Fatal(err)
	}
	file[23] = 0x24 // two words of 16 bits
	if err := os.WriteFile("fcs.pcap", file, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		before  string
		args    []string
		arrived []int
	}{
		{"cat fcs.pcap", nil, []int{60, 1514, 100}},
		{"cat fcs.pcap", []string{"--verify"}, []int{60, 1514, 100}},
		{"cat fcs.pcap", []string{"--verify", "--tx", "xdp"}, []int{60, 1514, 100}},
		{"cat fcs.pcap", []string{"--filter", "len == 100 or len == 1514"}, []int{1514, 100}},
		{"cat fcs.pcap", []string{"--asap"}, []int{60, 1514, 100}},
		{"pcap-merge fcs.pcap", nil, []int{60, 1514, 100}},
		{"pcap-merge --filter 'len == 60' fcs.pcap", nil, []int{60}},
		{"cat fcs.pcap | pcap-merge --pcapng", nil, []int{60, 1514, 100}},
		{"pcap-pace fcs.pcap", nil, []int{60, 1514, 100}},
		{"cat plain.pcap", []string{"--oversize", "truncate"}, []int{64, 1514, 104}},
	} {
		t.Run(test.before+" | "+strings.Join(test.args, " "), func(t *testing.T) {
			if err := os.WriteFile("in.pcap", shell(t, test.before), 0o666); err != nil {
				t.Fatal(err)
			}
			got, _ := inject(t, receiver, exitDone, append(test.args, "in.pcap")...)
			var lengths []int
			for i := range got {
				lengths = append(lengths, len(got[i].Data))
			}
			if !slices.Equal(lengths, test.arrived) {
				t.Errorf("frames of %v bytes arrived, wanted %v", lengths, test.arrived)
			}
		})
	}
}

// A TCP superframe arrives as its segments, and counts once.
func TestSuperframesAreSegmented(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	frame := superframe()
	lab.WriteCapture(t, "tso.pcap", []stream.Packet{
		{Time: lab.Start, Data: frame, WireLength: uint32(len(frame)), LinkType: stream.LinkTypeEthernet},
		lab.Packets(1, lab.Start, 0, 100)[0],
	})
	got, summary := inject(t, receiver, exitDone, "--oversize", "segment", "tso.pcap")
	if len(got) != 4 || len(got[0].Data) != 1514 || len(got[2].Data) != 54+3000-2*1460 {
		t.Errorf("%d frames arrived", len(got))
	}
	if summary.PacketsIn != 2 || summary.PacketsOut != 2 || summary.Frames != 4 || summary.Segmented != 1 {
		t.Errorf("summary %+v", summary)
	}
}

// superframe is a TCP frame with 3,000 bytes of payload, which has three segments.
func superframe() []byte {
	frame := make([]byte, 54+3000)
	copy(frame, lab.Frame(0, 0, 60)[:34])
	frame[23] = 6 // TCP
	binary.BigEndian.PutUint16(frame[16:], uint16(len(frame)-14))
	frame[46] = 0x50 // header length
	return frame
}

// failsWhenDown runs pcap-inject, and takes an interface down after it has sent something. The
// run must fail and name the interface. It returns the summary.
func failsWhenDown(t *testing.T, name string, args ...string) record.InjectSummary {
	t.Helper()
	command := exec.Command("pcap-inject", append(args, "--report", "report.ndjson")...)
	var messages bytes.Buffer
	command.Stderr = &messages
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	device, err := wire.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	lab.Await(t, "packets are sent", func() bool {
		counted, err := device.Counters()
		return err != nil || counted.Packets > 0
	})
	if err := lab.SetDown(name); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if command.ProcessState.ExitCode() != exitFailed || !strings.Contains(messages.String(), `interface "`+name+`": interface is down`) {
		t.Errorf("%v:\n%s", command.ProcessState, messages.String())
	}
	return readSummary(t)
}

// If an interface goes down, the run ends. The summary counts what was sent.
func TestInterfaceGoesDown(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	for _, way := range []string{"packet", "bypass", "xdp"} {
		t.Run(way, func(t *testing.T) {
			receiver := injectLab(t)
			lab.WriteCapture(t, "long.pcap", lab.Packets(30000, lab.Start, time.Millisecond, 100))
			summary := failsWhenDown(t, "left", "-i", "left", "--tx", way, "long.pcap")
			got, err := receiver.Receive(time.Second, 100*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if summary.PacketsOut == 0 || int(summary.PacketsOut-summary.QueueDropped) != len(got) || summary.ReadAhead == 0 {
				t.Errorf("%d sent, %d arrived, %d left", summary.PacketsOut, len(got), summary.ReadAhead)
			}
		})
	}
}

// Ended at any moment, it has sent what it says.
func TestSignalsAtAnyMoment(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	lab.WriteCapture(t, "fast.pcap", lab.Packets(200000, lab.Start, 5*time.Microsecond, 100))
	for _, args := range [][]string{{"fast.pcap"}, {"--asap", "--tx", "packet", "fast.pcap"}, {"--tx", "xdp", "--workers", "2", "fast.pcap"}} {
		for _, pause := range []time.Duration{30, 150, 260, 500} {
			_ = os.Remove("report.ndjson")
			command := exec.Command("pcap-inject", append([]string{"-i", "left", "--report", "report.ndjson"}, args...)...)
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(pause * time.Millisecond)
			_ = command.Process.Signal(syscall.SIGINT)
			err := command.Wait()
			got, receiveErr := receiver.Receive(300*time.Millisecond, 300*time.Millisecond)
			if receiveErr != nil {
				t.Fatal(receiveErr)
			}
			code := command.ProcessState.ExitCode()
			if _, err := os.Stat("report.ndjson"); err != nil && code == -1 && len(got) == 0 {
				continue // before it listened to signals
			}
			if summary := readSummary(t); int(summary.PacketsOut) != len(got) || code != 130 && code != exitDone && code != -1 {
				t.Errorf("%v after %v: %d sent, %d arrived; %v", args, pause*time.Millisecond, summary.PacketsOut, len(got), err)
			}
		}
	}
}

// Two injectors that start at one moment interleave their frames as in the source.
func TestInjectorsStartTogether(t *testing.T) {
	lab.NeedProgram(t, "date")
	if !lab.InNamespace(t) {
		return
	}
	const gap = 120 * time.Millisecond // a busy machine is late, but not by so much
	receiver := injectLab(t)
	all := lab.Packets(12, lab.Start, gap, 100)
	var even, odd []stream.Packet
	for i := range all {
		if i%2 == 0 {
			even = append(even, all[i])
		} else {
			odd = append(odd, all[i])
		}
	}
	lab.WriteCapture(t, "even.pcap", even)
	lab.WriteCapture(t, "odd.pcap", odd)
	at := time.Now().Add(1500 * time.Millisecond)
	pipeline := fmt.Sprintf("pcap-pace --start-at %s even.pcap | pcap-inject --at -i left & pcap-pace --start-at %s odd.pcap | pcap-inject --at -i left; wait",
		at.UTC().Format(time.RFC3339Nano), at.Add(gap).UTC().Format(time.RFC3339Nano))
	if output, err := exec.Command("bash", "-c", pipeline).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	got, err := receiver.Receive(time.Second, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(dataOf(got), dataOf(all), bytes.Equal) {
		t.Errorf("%d frames arrived, not in the order of the source", len(got))
	}
	if len(got) > 0 {
		if off := time.Duration(got[0].Time - at.UnixNano()); off < -time.Millisecond || off > gap {
			t.Errorf("the first frame arrived %v after its moment", off)
		}
	}
}

// What leaves is what the filter wants, as tcpdump says.
func TestFilterOnTheWire(t *testing.T) {
	lab.NeedProgram(t, "tcpdump")
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	packets := lab.Packets(100, lab.Start, 100*time.Microsecond, 100)
	lab.WriteCapture(t, "set.pcap", packets)
	const expression = "udp[10:2] & 3 = 1 or udp[11] = 8"
	wanted, err := exec.Command("tcpdump", "-r", "set.pcap", "-w", "-", expression).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for packet, err := range stream.NewReader(bytes.NewReader(wanted)).Packets() {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, bytes.Clone(packet.Data))
	}
	got, _ := inject(t, receiver, exitDone, "--filter", expression, "set.pcap")
	if len(want) == 0 || !slices.EqualFunc(dataOf(got), want, bytes.Equal) {
		t.Errorf("%d frames arrived, tcpdump prints %d", len(got), len(want))
	}
}

// Once it reads, it has no privilege left.
func TestPrivilegesAreDropped(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	if isCgo() {
		t.Skip("built with cgo, where not all threads can be reached")
	}
	injectLab(t)
	lab.WriteCapture(t, "long.pcap", lab.Packets(2, lab.Start, time.Hour, 100))
	command := exec.Command("pcap-inject", "-q", "-i", "left", "--realtime", "long.pcap")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = command.Process.Kill(); _ = command.Wait() }()
	status := fmt.Sprintf("/proc/%d/status", command.Process.Pid)
	lab.Await(t, "it has no capabilities", func() bool {
		text, err := os.ReadFile(status)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(text, []byte("CapEff:\t0000000000000000")) && bytes.Contains(text, []byte("CapPrm:\t0000000000000000"))
	})
}

func isCgo() bool {
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0)
	return errors.Is(errno, syscall.ENOTSUP)
}
