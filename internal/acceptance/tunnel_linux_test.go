package acceptance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// sensorLab makes a sensor in another namespace, at the end of a veth pair with an MTU of
// 1600 bytes: 10.9.0.2 and fd00::2. The tools are in PATH.
func sensorLab(t *testing.T) (sensor *lab.Namespace, underlay *lab.Receiver) {
	t.Helper()
	lab.NeedProgram(t, "ip")
	linkTools(t)
	t.Chdir(t.TempDir())
	sensor = lab.NewNamespace(t)
	commands(t, "ip link set lo up",
		"ip link add left mtu 1600 type veth peer name right mtu 1600",
		"ip link set right netns "+sensor.Path(),
		"ip addr add 10.9.0.1/24 dev left", "ip addr add fd00::1/64 dev left nodad", "ip addr add fe80::1/64 dev left nodad",
		"ip link set left up")
	err := sensor.Do(func() (err error) {
		commands(t, "ip addr add 10.9.0.2/24 dev right", "ip addr add fd00::2/64 dev right nodad", "ip addr add fe80::2/64 dev right nodad",
			"ip link set right up")
		// Otherwise the sensor answers only once a second: icmp(7).
		if err := os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0); err != nil {
			return err
		}
		underlay, err = lab.NewReceiver("right", 64<<20)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { underlay.Close() })
	return sensor, underlay
}

// commands runs programs in the namespace of this thread.
func commands(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		words := strings.Fields(line)
		if output, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, output)
		}
	}
}

// kernelDevice makes the kernel's own device of a tunnel at the sensor, and listens on it. It
// returns nil if the kernel does not have this kind of device.
func kernelDevice(t *testing.T, sensor *lab.Namespace, arguments string) *lab.Receiver {
	t.Helper()
	var receiver *lab.Receiver
	err := sensor.Do(func() (err error) {
		words := append([]string{"link", "add", "inner", "type"}, strings.Fields(arguments)...)
		if output, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s", bytes.TrimSpace(output))
		}
		// The kernel does not send anything of its own on an interface without IPv6.
		commands(t, "ip link set inner addrgenmode none", "ip link set inner up")
		receiver, err = lab.NewReceiver("inner", 64<<20)
		return err
	})
	if err != nil && strings.Contains(err.Error(), "Unknown device type") {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		receiver.Close()
		_ = sensor.Do(func() error { commands(t, "ip link del inner"); return nil })
	})
	return receiver
}

// toSensor runs pcap-inject as a user without privileges and returns its messages and its
// summary.
func toSensor(t *testing.T, code int, args ...string) (string, record.InjectSummary) {
	t.Helper()
	lab.NeedProgram(t, "setpriv")
	args = append([]string{"--bounding-set=-all", "--inh-caps=-all", "pcap-inject", "--report", "report.ndjson"}, args...)
	command := exec.Command("setpriv", args...)
	output, err := command.CombinedOutput()
	if got := command.ProcessState.ExitCode(); got != code {
		t.Fatalf("%v: exit %d, wanted %d: %v\n%s", args, got, code, err, output)
	}
	return string(output), readSummary(t)
}

// tunneledFrames are frames of many flows and lengths. Two have VLAN tags.
func tunneledFrames(t *testing.T) (packets []stream.Packet) {
	packets = lab.Packets(5000, lab.Start, 10*time.Microsecond, 60)
	for k := range packets {
		packets[k].Data = lab.Frame(uint16(k%97), uint32(k), 60+k%1400)
	}
	for k, tag := range []string{"\x81\x00\x00\x2a", "\x88\xa8\x60\x2a"} {
		data := packets[k].Data
		packets[k].Data = slices.Concat(data[:12], []byte(tag), data[12:])
	}
	for k := range packets {
		packets[k].WireLength = uint32(len(packets[k].Data))
	}
	lab.WriteCapture(t, "set.pcap", packets)
	return packets
}

// The kernel's own device at the other end takes off what pcap-inject has put around the
// frames, over IPv4 and over IPv6.
func TestTheKernelTakesTunnelsOff(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	sensor, _ := sensorLab(t)
	packets := tunneledFrames(t)
	for _, test := range []struct {
		device string
		args   []string
	}{
		{"vxlan id 7 dstport 4789 local 10.9.0.2 dev right", []string{"--to", "vxlan://10.9.0.2?vni=7"}},
		{"vxlan id 16777215 dstport 5000 local 10.9.0.2 dev right", []string{"--asap", "--to", "vxlan://10.9.0.2:5000?vni=16777215"}},
		{"vxlan id 7 dstport 4789 local fd00::2 dev right", []string{"--verify", "--to", "vxlan://[fd00::2]?vni=7"}},
		{"vxlan id 7 dstport 4789 local 10.9.0.2 dev right", []string{"--verify", "--workers", "3", "--to", "vxlan://10.9.0.2?vni=7"}},
		{"vxlan id 7 dstport 4789 local fe80::2 dev right", []string{"--to", "vxlan://[fe80::2%25left]?vni=7"}},
		{"geneve id 7 remote 10.9.0.1", []string{"--to", "geneve://10.9.0.2?vni=7"}},
		{"geneve id 7 remote fd00::1", []string{"--to", "geneve://[fd00::2]?vni=7"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			receiver := kernelDevice(t, sensor, test.device)
			if receiver == nil {
				t.Log("the kernel has no such device: TestTsharkFindsTunnels has another oracle")
				return
			}
			_, summary := toSensor(t, exitDone, append(test.args, "set.pcap")...)
			got, err := receiver.Receive(2*time.Second, 300*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if summary.PacketsOut != int64(len(packets)) || summary.Tx != "udp" || !slices.Contains(test.args, summary.To) {
				t.Errorf("%+v", summary)
			}
			if slices.Contains(test.args, "--verify") && (summary.Stamped != summary.Frames || summary.Verified.P50 < summary.Lateness.P50/2) {
				t.Errorf("the kernel stamped %d frames of %d: %+v, by this side %+v", summary.Stamped, summary.Frames, summary.Verified, summary.Lateness)
			}
			arrived, want := dataOf(got), dataOf(packets)
			if slices.Contains(test.args, "--workers") {
				slices.SortFunc(arrived, bytes.Compare)
				slices.SortFunc(want, bytes.Compare)
			}
			if !slices.EqualFunc(arrived, want, bytes.Equal) {
				t.Errorf("%d frames arrived of %d, or they differ", len(arrived), len(want))
			}
		})
	}
}

// tshark finds the tunnel and the frames in it, with correct checksums. Behind the headers are
// the frames, byte for byte and in order. All packets between two addresses have one source
// port, and different flows have different ones. Nothing is fragmented.
func TestTsharkFindsTunnels(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.NeedProgram(t, "tshark")
	_, underlay := sensorLab(t)
	packets := tunneledFrames(t)
	const overIPv4, overIPv6 = 14 + 20 + 8 + 8, 14 + 40 + 8 + 8 // lengths of all headers
	for _, test := range []struct {
		url, field, filter string
		headers            int
	}{
		{"vxlan://10.9.0.2?vni=70000", "vxlan.vni", "udp.dstport == 4789 && ip.flags.df == 1 && udp.checksum == 0", overIPv4},
		{"vxlan://[fd00::2]?vni=70000", "vxlan.vni", "udp.dstport == 4789 && ipv6 && udp.checksum.status == 1", overIPv6},
		{"geneve://10.9.0.2?vni=70000", "geneve.vni", "udp.dstport == 6081 && ip.flags.df == 1 && geneve.proto_type == 0x6558", overIPv4},
		{"geneve://[fd00::2]?vni=70000", "geneve.vni", "udp.dstport == 6081 && ipv6 && geneve.proto_type == 0x6558", overIPv6},
	} {
		t.Run(test.url, func(t *testing.T) {
			_, summary := toSensor(t, exitDone, "--to", test.url, "set.pcap")
			got, err := underlay.Receive(2*time.Second, 300*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			lab.WriteCapture(t, "underlay.pcap", got)
			output, err := exec.Command("tshark", "-r", "underlay.pcap", "-o", "udp.check_checksum:TRUE", "-Y", test.filter,
				"-T", "fields", "-e", "udp.srcport", "-e", test.field, "-e", "ip.src").Output()
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(output)), "\n")
			if len(lines) != len(packets) || summary.PacketsOut != int64(len(packets)) {
				t.Fatalf("tshark finds %d tunneled frames of %d: %.200s", len(lines), len(packets), output)
			}
			arrived := 0
			for i := range got { // others are of ARP and neighbor discovery, and for the discard port
				if data := got[i].Data; len(data) > test.headers && bytes.Equal(data[test.headers:], packets[arrived].Data) {
					arrived = min(arrived+1, len(packets)-1)
				}
			}
			if arrived != len(packets)-1 {
				t.Errorf("frame %d did not arrive as it was", arrived)
			}
			portOf, ports := map[string]string{}, map[string]bool{}
			for _, line := range lines {
				fields := strings.Split(line, "\t")
				port, _, _ := strings.Cut(fields[0], ",")
				sources := strings.Split(fields[2], ",")
				source := sources[len(sources)-1]
				if number, err := strconv.Atoi(port); err != nil || number < 49152 {
					t.Fatalf("source port %q", port)
				}
				if vni, err := strconv.ParseUint(fields[1], 0, 32); err != nil || vni != 70000 {
					t.Fatalf("VNI %q", fields[1])
				}
				if before, known := portOf[source]; known && before != port {
					t.Fatalf("flow of %s has the ports %s and %s", source, before, port)
				}
				portOf[source], ports[port] = port, true
			}
			// 97 flows on 64 ports: 50 ports are used on average.
			if len(portOf) != 97 || len(ports) < 35 {
				t.Errorf("%d flows have %d source ports", len(portOf), len(ports))
			}
		})
	}
}

// What is longer than the MTU of the route is treated as --oversize says. VLAN tags count.
func TestTunnelsFitTheRoute(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	sensor, _ := sensorLab(t)
	receiver := kernelDevice(t, sensor, "vxlan id 7 dstport 4789 local 10.9.0.2 dev right")
	longest := lab.Frame(0, 1, 1600-20-8-8)
	tagged := slices.Concat(longest[:12], []byte{0x81, 0, 0, 5}, longest[12:])
	long := lab.Frame(0, 2, len(longest)+1)
	var packets []stream.Packet
	for _, data := range [][]byte{longest, long, tagged, lab.Frame(0, 3, 100)} {
		packets = append(packets, stream.Packet{Time: lab.Start, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet})
	}
	lab.WriteCapture(t, "mixed.pcap", packets)
	raw := packets[3]
	raw.Data, raw.WireLength, raw.LinkType = raw.Data[14:], raw.WireLength-14, stream.LinkTypeRaw
	lab.WriteCapture(t, "raw.pcap", []stream.Packet{raw})
	for _, test := range []struct {
		args     []string
		code     int
		arrived  []int // lengths
		messages string
	}{
		{[]string{"mixed.pcap"}, exitDamaged, []int{1564, 100}, "1565 bytes, but at most 1564 can be sent"},
		{[]string{"mixed.pcap"}, exitDamaged, []int{1564, 100}, "give the route to 10.9.0.2 an MTU of 1601"},
		{[]string{"--oversize", "skip", "mixed.pcap"}, exitDone, []int{1564, 100}, "2 packets not sent: longer than can be sent"},
		{[]string{"--oversize", "truncate", "mixed.pcap"}, exitDone, []int{1564, 1564, 1564, 100}, "2 packets truncated"},
		{[]string{"raw.pcap"}, exitFailed, nil, "--link ethernet gives such frames an Ethernet header"},
		{[]string{"--link", "ethernet", "raw.pcap"}, exitDone, []int{100}, "sent 1 packet"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			output, _ := toSensor(t, test.code, append([]string{"--to", "vxlan://10.9.0.2?vni=7"}, test.args...)...)
			got, err := receiver.Receive(time.Second, 300*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			var lengths []int
			for i := range got {
				lengths = append(lengths, len(got[i].Data))
			}
			if !slices.Equal(lengths, test.arrived) || !strings.Contains(output, test.messages) {
				t.Errorf("frames of %v bytes arrived, wanted %v:\n%s", lengths, test.arrived, output)
			}
		})
	}
}

// If nothing listens at the other end, that is said once, and everything is sent.
func TestNothingListens(t *testing.T) {
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	_, underlay := sensorLab(t)
	lab.WriteCapture(t, "set.pcap", lab.Packets(500, lab.Start, time.Millisecond, 100))
	lab.WriteCapture(t, "one.pcap", lab.Packets(1, lab.Start, time.Millisecond, 100))
	for _, test := range []struct {
		file, host string
		count      int
	}{{"set.pcap", "10.9.0.2", 500}, {"one.pcap", "10.9.0.2", 1}, {"set.pcap", "[fd00::2]", 500}} {
		for _, flag := range []string{"--progress=never", "--verify"} {
			output, summary := toSensor(t, exitDone, flag, "--to", "vxlan://"+test.host+"?vni=7", test.file)
			want := "pcap-inject: warning: nothing listens at UDP port 4789 of " + strings.Trim(test.host, "[]") + "; sending continues\n"
			if strings.Count(output, want) != 1 || strings.Count(output, "nothing listens") != 1 {
				t.Errorf("%s %s %s:\n%s", flag, test.host, test.file, output)
			}
			// The kernel forgets the stamp of a frame on its way when the numbers begin again
			// after an answer.
			if flag == "--verify" && (summary.Stamped > summary.Frames || 10*summary.Stamped < 9*summary.Frames) {
				t.Errorf("the kernel stamped %d frames of %d", summary.Stamped, summary.Frames)
			}
			got, err := underlay.Receive(time.Second, 300*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			arrived := 0
			for i := range got {
				if bytes.Contains(got[i].Data, binary.BigEndian.AppendUint16(nil, 4789)) && len(got[i].Data) > 130 && got[i].Data[0]&1 == 0 {
					arrived++
				}
			}
			if arrived < test.count || summary.PacketsOut != int64(test.count) {
				t.Errorf("%s: %d of %d arrived, %d sent", test.file, arrived, test.count, summary.PacketsOut)
			}
		}
	}
}

// Without a route, a run ends with what was sent, and says why.
func TestTheRouteIsLost(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	sensorLab(t)
	lab.WriteCapture(t, "set.pcap", lab.Packets(5000, lab.Start, time.Millisecond, 100))
	// Nothing answers at this address.
	commands(t, "ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:99 dev left")
	time.AfterFunc(time.Second, func() { _ = lab.SetDown("left") })
	output, summary := toSensor(t, exitFailed, "--to", "vxlan://10.9.0.2?vni=7", "set.pcap")
	if !strings.Contains(output, "error: --to vxlan://10.9.0.2:4789: send: network is unreachable") || !strings.Contains(output, "hint: ip route get 10.9.0.2") || strings.Contains(output, "sending continues") {
		t.Error(output)
	}
	if summary.PacketsOut == 0 || summary.ReadAhead == 0 {
		t.Errorf("%+v", summary)
	}
}

// What the kernel or a router says about datagrams that did not arrive makes the exit code 3.
func TestDatagramsThatDoNotArrive(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	sensor, _ := sensorLab(t)
	lab.WriteCapture(t, "set.pcap", lab.Packets(50, lab.Start, time.Millisecond, 100))
	// The sensor is a router that has no route to another network, for which an address of a
	// host is also missing.
	err := sensor.Do(func() error {
		commands(t, "sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv6.conf.all.forwarding=1", "ip route add unreachable 198.51.100.0/24")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	commands(t, "ip route add 192.0.2.0/24 via 10.9.0.2", "ip route add 198.51.100.0/24 via 10.9.0.2", "ip route add 203.0.113.0/24 via 10.9.0.78",
		"ip -6 route add 2001:db8::/64 via fd00::2")
	const lost = "at least [1-9][0-9]* datagrams? "
	for _, test := range []struct {
		host, message string
		pause         time.Duration // a router sends five errors to a host, and then one a second: ip_error in net/ipv4/route.c
		flags         []string
	}{
		{"10.9.0.77", "error: --to vxlan://10.9.0.77:4789: the next hop, 10.9.0.77, does not answer: " + lost + "lost\n", 0, []string{"-q", "--verify", "--workers=3"}},
		{"203.0.113.1", "the next hop, 10.9.0.78, does not answer: " + lost + "lost\n", 0, []string{"-q"}},
		{"[fd00::77]", "the next hop, fd00::77, does not answer: " + lost + "lost\n", 0, []string{"-q", "--verify"}},
		{"192.0.2.1", "error: --to vxlan://192.0.2.1:4789: ICMP errors say that " + lost + "did not arrive\n", 0, []string{"-q"}},
		{"198.51.100.1", "ICMP errors say that " + lost + "did not arrive\n", 2 * time.Second, []string{"--verify"}},
		{"[2001:db8::1]", "ICMP errors say that " + lost + "did not arrive\n", 0, []string{"-q"}},
	} {
		time.Sleep(test.pause)
		for _, flag := range test.flags {
			output, summary := toSensor(t, exitDamaged, flag, "--to", "vxlan://"+test.host+"?vni=7", "set.pcap")
			if !regexp.MustCompile(test.message).MatchString(output) || summary.PacketsOut != 50 || summary.Undelivered == 0 || summary.Undelivered > 50 {
				t.Errorf("%s %s: %d sent, %d undelivered\n%s", flag, test.host, summary.PacketsOut, summary.Undelivered, output)
			}
		}
	}
}
