package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/privilege"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// ways are the ways to send.
var ways = []struct {
	name string
	open func(*wire.Interface) (wire.Sender, error)
}{
	{"packet", wire.OpenPacket},
	{"bypass", wire.OpenBypass},
	{"xdp", func(i *wire.Interface) (wire.Sender, error) { return wire.OpenXDP(i, 0, false) }},
	{"xdp stamped", openStampedXDP},
}

func openStampedXDP(i *wire.Interface) (wire.Sender, error) { return wire.OpenXDP(i, 0, true) }

// onEveryWay runs a test for each way to send, between the ends of a veth pair in
// a namespace of its own.
func onEveryWay(t *testing.T, test func(t *testing.T, receiver *lab.Receiver, i *wire.Interface, sender wire.Sender)) {
	if !lab.InNamespace(t) {
		return
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			lab.MakePair(t, "left", "right")
			receiver := listen(t, "right")
			i, err := wire.Lookup("left")
			if err != nil {
				t.Fatal(err)
			}
			sender, err := way.open(i)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { sender.Close() })
			test(t, receiver, i, sender)
		})
	}
}

func listen(t *testing.T, name string) *lab.Receiver {
	t.Helper()
	receiver, err := lab.NewReceiver(name, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.Close() })
	return receiver
}

// expect compares what arrived with what was sent.
func expect(t *testing.T, receiver *lab.Receiver, want []stream.Packet) {
	t.Helper()
	got, err := receiver.Receive(2*time.Second, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d frames arrived, wanted %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("frame %d: %x arrived, wanted %x", i, got[i].Data, want[i].Data)
		}
	}
}

func TestFramesArriveByteForByte(t *testing.T) { onEveryWay(t, framesArriveByteForByte) }

func framesArriveByteForByte(t *testing.T, receiver *lab.Receiver, i *wire.Interface, sender wire.Sender) {
	before, err := i.Counters()
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(20000, lab.Start, 0, 60)
	for k := range packets {
		packets[k].Data = lab.Frame(uint16(k%7), uint32(k), 60+k%1455)
	}
	// A tag of 802.1Q and one of 802.1ad: the kernel treats them in a way of its own.
	for k, tag := range []string{"\x81\x00\x00\x2a", "\x88\xa8\x60\x2a"} {
		frame := packets[k].Data
		packets[k].Data = append(append(bytes.Clone(frame[:12]), tag...), frame[12:]...)
	}
	if sent, err := sendAll(sender, packets); sent != len(packets) || err != nil {
		t.Fatalf("%d sent, %v", sent, err)
	}
	if err := sender.Flush(); err != nil {
		t.Fatal(err)
	}
	expect(t, receiver, packets)
	after, err := i.Counters()
	if err != nil || after.Packets-before.Packets != uint64(len(packets)) {
		t.Errorf("the device counts %d packets, wanted %d; %v", after.Packets-before.Packets, len(packets), err)
	}
}

// A frame that cannot be sent is told, and those before and after it are sent.
func TestFramesThatDoNotFit(t *testing.T) { onEveryWay(t, framesThatDoNotFit) }

func framesThatDoNotFit(t *testing.T, receiver *lab.Receiver, i *wire.Interface, sender wire.Sender) {
	packets := lab.Packets(5, lab.Start, 0, 100)
	packets[2].Data = lab.Frame(0, 2, i.MaxFrame()+1)
	if sent, err := sendAll(sender, packets); sent != 2 || !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("too long: %d sent, %v", sent, err)
	}
	packets[2].Data = []byte{1, 2, 3}
	if sent, err := sendAll(sender, packets[2:]); sent != 0 || !errors.Is(err, frame.ErrTooShort) {
		t.Errorf("too short: %d sent, %v", sent, err)
	}
	if sent, err := sendAll(sender, packets[3:]); sent != 2 || err != nil {
		t.Errorf("behind it: %d sent, %v", sent, err)
	}
	expect(t, receiver, append(packets[:2:2], packets[3:]...))
}

func TestInterfacesThatCannotSend(t *testing.T) { onEveryWay(t, interfacesThatCannotSend) }

func interfacesThatCannotSend(t *testing.T, _ *lab.Receiver, i *wire.Interface, sender wire.Sender) {
	if _, err := wire.Lookup("nosuch"); !errors.Is(err, wire.ErrNoInterface) || !strings.Contains(err.Error(), "left") {
		t.Errorf("missing: %v", err)
	}
	if err := i.Ready(); err != nil {
		t.Errorf("up: %v", err)
	}
	if err := lab.SetDown("right"); err != nil {
		t.Fatal(err)
	}
	if i, err := wire.Lookup("left"); err != nil || !errors.Is(i.Ready(), wire.ErrNoCarrier) {
		t.Errorf("no carrier: %v, %v", err, i.Ready())
	}
	if err := lab.SetDown("left"); err != nil {
		t.Fatal(err)
	}
	if i, err := wire.Lookup("left"); err != nil || !errors.Is(i.Ready(), wire.ErrDown) {
		t.Errorf("down: %v, %v", err, i.Ready())
	}
	if sent, err := sendAll(sender, lab.Packets(3, lab.Start, 0, 60)); sent != 0 || !errors.Is(err, wire.ErrDown) {
		t.Errorf("went down: %d sent, %v", sent, err)
	}
}

// What the other end does not take is told, and not counted as sent.
func TestFramesThatAreRefused(t *testing.T) { onEveryWay(t, framesThatAreRefused) }

func framesThatAreRefused(t *testing.T, receiver *lab.Receiver, i *wire.Interface, sender wire.Sender) {
	if err := lab.SetMTU("right", 1000); err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(5, lab.Start, 0, 100)
	packets[2].Data = lab.Frame(0, 2, 1514)
	if sent, err := sendAll(sender, packets); sent != 2 || !errors.Is(err, wire.ErrRefused) {
		t.Errorf("%d sent, %v", sent, err)
	}
	expect(t, receiver, packets[:2])
	if after, err := i.Counters(); err != nil || after.Packets != 2 {
		t.Errorf("the device counts %d packets, wanted 2; %v", after.Packets, err)
	}
}

// What is refused for a while is sent in its place once it is taken.
func TestFramesThatAreTakenLater(t *testing.T) { onEveryWay(t, framesThatAreTakenLater) }

func framesThatAreTakenLater(t *testing.T, receiver *lab.Receiver, _ *wire.Interface, sender wire.Sender) {
	packets := lab.Packets(700, lab.Start, 0, 100)
	for _, k := range []int{0, 1, 5, 254, 255, 256, 511, 600, 699} {
		packets[k].Data = lab.Frame(0, uint32(k), 1514)
	}
	if err := lab.SetMTU("right", 1000); err != nil {
		t.Fatal(err)
	}
	later := make(chan error, 1)
	time.AfterFunc(50*time.Millisecond, func() { later <- lab.SetMTU("right", 1500) })
	if sent, err := sendAll(sender, packets); sent != len(packets) || err != nil || sender.Retries() == 0 {
		t.Errorf("%d sent, %d retries, %v", sent, sender.Retries(), err)
	}
	if err := <-later; err != nil {
		t.Fatal(err)
	}
	expect(t, receiver, packets)
}

// An end that loses its carrier says so, and all that was sent before has arrived.
func TestCarrierIsLost(t *testing.T) { onEveryWay(t, carrierIsLost) }

func carrierIsLost(t *testing.T, receiver *lab.Receiver, i *wire.Interface, sender wire.Sender) {
	packets, sent := lab.Packets(100, lab.Start, 0, 100), 0
	time.AfterFunc(50*time.Millisecond, func() { _ = lab.SetDown("right") })
	var err error
	for err == nil && sent < 10_000_000 {
		var n int
		n, err = sendAll(sender, packets)
		sent += n
		time.Sleep(100 * time.Microsecond)
	}
	var hinted interface{ Hint() string }
	if !errors.Is(err, wire.ErrNoCarrier) || !errors.As(err, &hinted) || hinted.Hint() != "the other end is down: ip link set right up" {
		t.Errorf("%d sent, %v: %v", sent, err, hinted)
	}
	after, err := i.Counters()
	if err != nil {
		t.Fatal(err)
	}
	taken := after.Packets
	if t.Name() == "TestCarrierIsLost/packet" {
		// The queueing discipline drops what is sent before the loss is noticed, and
		// the kernel counts that as drops of the device. A refusal counts as well.
		taken += after.Dropped - sender.Retries()
	}
	if taken != uint64(sent) {
		t.Errorf("%d sent, the device counts %+v", sent, after)
	}
	if got, err := receiver.Receive(time.Second, 200*time.Millisecond); err != nil || uint64(len(got)) != after.Packets {
		t.Errorf("%d sent, %d arrived; %v", sent, len(got), err)
	}
}

// A queue takes one socket, and another once that is closed.
func TestQueuesOfXDP(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	i, err := wire.Lookup("left")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		sender, err := wire.OpenXDP(i, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		sender.Close()
	}
	sender, err := wire.OpenXDP(i, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if _, err := wire.OpenXDP(i, 1, false); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("queue 1 is taken twice: %v", err)
	}
	if _, err := wire.OpenXDP(i, 2, false); err == nil || !strings.Contains(err.Error(), "no such queue") {
		t.Errorf("queue 2 of 2: %v", err)
	}
}

func TestNamesOfNoInterface(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	for _, name := range []string{"", "a", "far-too-long-for-an-interface", strings.Repeat("x", 300), "left/right", "a b", "\xff"} {
		if _, err := wire.Lookup(name); !errors.Is(err, wire.ErrNoInterface) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func TestLinkTypesThatFit(t *testing.T) {
	ethernet := &wire.Interface{Name: "v0", LinkType: stream.LinkTypeEthernet, HasLinkType: true}
	tunnel := &wire.Interface{Name: "tun0", LinkType: stream.LinkTypeRaw, HasLinkType: true}
	for _, c := range []struct {
		to   *wire.Interface
		link stream.LinkType
		fits bool
	}{
		{ethernet, stream.LinkTypeEthernet, true},
		{ethernet, stream.LinkTypeRaw, false},
		{ethernet, stream.LinkTypeLinuxSLL, false},
		{tunnel, stream.LinkTypeRaw, true},
		{tunnel, stream.LinkTypeIPv4, true},
		{tunnel, stream.LinkTypeIPv6, true},
		{tunnel, stream.LinkTypeEthernet, false},
		{&wire.Interface{Name: "odd"}, stream.LinkTypeEthernet, false},
	} {
		if err := c.to.Accepts(c.link); (err == nil) != c.fits || err != nil && !errors.Is(err, wire.ErrLinkType) {
			t.Errorf("%s takes %s: %v", c.to.Name, c.link, err)
		}
	}
}

func TestSendDoesNotAllocate(t *testing.T) { onEveryWay(t, sendDoesNotAllocate) }

func sendDoesNotAllocate(t *testing.T, _ *lab.Receiver, _ *wire.Interface, sender wire.Sender) {
	packets := lab.Packets(100, lab.Start, 0, 60)
	if allocations := testing.AllocsPerRun(100, func() { _, _ = sendAll(sender, packets) }); allocations > 0 {
		t.Errorf("%v allocations a batch", allocations)
	}
}

// A tunnel sends packets with several source ports. If the MTU of the route shrinks, a frame
// that no longer fits is refused, and the others are sent.
func TestTunnelSender(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	if err := lab.SetUp("lo"); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	to := wire.Tunnel{Name: "test", Remote: listener.LocalAddr().(*net.UDPAddr).AddrPort(), Header: []byte("header")}
	sender, err := wire.OpenTunnel(to, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	packets := lab.Packets(100, lab.Start, 0, 60)
	for k := range packets {
		packets[k].Data = lab.Frame(uint16(k/3), uint32(k), 60)
	}
	send := func() {
		sender.WarmUp()
		if sent, err := sendAll(sender, packets); sent != len(packets) || err != nil {
			t.Fatalf("%d sent, %v", sent, err)
		}
	}
	if allocations := testing.AllocsPerRun(100, send); allocations > 0 {
		t.Errorf("%v allocations a batch", allocations)
	}
	buffer := make([]byte, 2000)
	for k := range packets { // the first batch: later ones may not fit into the buffer of the listener
		n, err := listener.Read(buffer)
		if err != nil || string(buffer[:n]) != "header"+string(packets[k].Data) {
			t.Fatalf("datagram %d: %x, %v", k, buffer[:n], err)
		}
	}
	if err := lab.SetMTU("lo", 1000); err != nil {
		t.Fatal(err)
	}
	packets[50].Data = lab.Frame(0, 50, 1000)
	if sent, err := sendAll(sender, packets); sent != 50 || !errors.Is(err, wire.ErrTooLong) || sender.MaxFrame() != 1000-28-len("header") {
		t.Errorf("%d sent, at most %d bytes, %v", sent, sender.MaxFrame(), err)
	}
	if sent, err := sendAll(sender, packets[51:]); sent != 49 || err != nil {
		t.Errorf("%d sent, %v", sent, err)
	}
}

// Each sender of a tunnel sends the packets of its share only, and all of its source ports
// are used.
func TestSendersShareSourcePorts(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	if err := lab.SetUp("lo"); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip(err)
	}
	defer listener.Close()
	to := wire.Tunnel{Name: "test", Remote: listener.LocalAddr().(*net.UDPAddr).AddrPort(), Header: []byte("header")}
	for _, count := range []int{1, 2, 3, 64} {
		ports := map[int]bool{}
		for index := range count {
			sender, err := wire.OpenTunnel(to, index, count)
			if err != nil {
				t.Fatal(err)
			}
			defer sender.Close()
			for flow := range uint16(1000) {
				packets := []stream.Packet{{Data: lab.Frame(flow, 0, 60), WireLength: 60, LinkType: stream.LinkTypeEthernet}}
				if !frame.Shard(&packets[0], uint32(index), uint32(count)) {
					continue
				}
				if sent, err := sendAll(sender, packets); sent != 1 || err != nil {
					t.Fatal(err)
				}
				_, from, err := listener.ReadFromUDP(make([]byte, 100))
				if err != nil || from.Port < 49152 {
					t.Fatalf("from port %d, %v", from.Port, err)
				}
				ports[from.Port] = true
			}
		}
		if want := count * max(64/count, 1); len(ports) != want {
			t.Errorf("%d senders have %d source ports, wanted %d", count, len(ports), want)
		}
	}
}

// BenchmarkSend sends what is in memory already. It wants a namespace:
//
//	PCAP_REPLAY_LAB=1 unshare -rn go test -run - -bench Send ./internal/wire
func BenchmarkSend(b *testing.B) {
	if !lab.Inside() {
		b.Skip("not in a namespace")
	}
	for _, length := range []int{60, 1514} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s/%d", way.name, length), func(b *testing.B) {
				lab.MakePair(b, "left", "right")
				i, err := wire.Lookup("left")
				if err != nil {
					b.Fatal(err)
				}
				sender, err := way.open(i)
				if err != nil {
					b.Fatal(err)
				}
				defer sender.Close()
				packets := lab.Packets(4096, lab.Start, 0, length)
				b.ResetTimer()
				for left := b.N; left > 0; left -= len(packets) {
					if _, err := sendAll(sender, packets[:min(left, len(packets))]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
			})
		}
	}
}

// An open socket goes on without any capability, on every thread.
func TestCapabilitiesAreDropped(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	receiver := listen(t, "right")
	i, err := wire.Lookup("left")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := wire.OpenPacket(i)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if err = privilege.Drop(); errors.Is(err, syscall.ENOTSUP) {
		t.Skip("built with cgo, whose threads Go does not know")
	} else if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		status, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/status")
		if err != nil {
			continue // it has ended
		}
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			if !strings.Contains(string(status), set+":\t0000000000000000\n") {
				t.Errorf("thread %s has capabilities left in %s", thread.Name(), set)
			}
		}
		if !strings.Contains(string(status), "NoNewPrivs:\t1\n") {
			t.Errorf("thread %s may gain privileges", thread.Name())
		}
	}
	if _, err := wire.OpenPacket(i); !errors.Is(err, wire.ErrPermission) {
		t.Errorf("another socket: %v", err)
	}
	packets := lab.Packets(3, lab.Start, 0, 60)
	if sent, err := sendAll(sender, packets); sent != 3 || err != nil {
		t.Errorf("%d sent, %v", sent, err)
	}
	expect(t, receiver, packets)
}

// Every frame has a stamp of the time at which it was sent, with the number of the frame.
func TestTransmitTimestamps(t *testing.T) {
	onEveryWayStamped(t, func(t *testing.T, sender wire.Sender, stamps wire.Stamps) {
		const batch = 100
		packets := lab.Packets(1000, lab.Start, 0, 60)
		var before, after []int64 // of each batch
		for k := 0; k < len(packets); k += batch {
			before = append(before, time.Now().UnixNano())
			if sent, err := sendAll(sender, packets[k:k+batch]); sent != batch || err != nil {
				t.Fatalf("%d sent, %v", sent, err)
			}
			after = append(after, time.Now().UnixNano())
		}
		for k, stamp := range readStamps(t, sender, stamps, len(packets)) {
			if stamp.Frame != uint32(k) || stamp.Time < before[k/batch] || stamp.Time > after[k/batch] {
				t.Fatalf("stamp %d: %+v, wanted from %d to %d", k, stamp, before[k/batch], after[k/batch])
			}
		}
	})
}

// The numbers of stamps count only the frames that were sent. A frame that the device refuses
// at first has one number. A frame that does not fit has none, and nor have the frames behind
// it in the same call.
func TestTransmitTimestampsCountSentFrames(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	i, err := wire.Lookup("left")
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(*wire.Interface) (wire.Sender, error){
		"packet": wire.OpenPacket, "bypass": wire.OpenBypass, "xdp": openStampedXDP,
	} {
		for _, tooLong := range []int{1515, 1519} { // which may have a tag, and which may not
			t.Run(fmt.Sprintf("%s/%d", name, tooLong), func(t *testing.T) {
				sender, err := open(i)
				if err != nil {
					t.Fatal(err)
				}
				defer sender.Close()
				testStampsCountSentFrames(t, sender, tooLong)
			})
		}
	}
}

func testStampsCountSentFrames(t *testing.T, sender wire.Sender, tooLong int) {
	stamps, err := wire.StampFrames(sender)
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(700, lab.Start, 0, 100)
	for _, k := range []int{0, 1, 5, 254, 255, 256, 511, 600, 699} {
		packets[k].Data = lab.Frame(0, uint32(k), 1514)
	}
	packets[300].Data = lab.Frame(0, 300, tooLong)
	if err := lab.SetMTU("right", 1000); err != nil {
		t.Fatal(err)
	}
	sender.WarmUp()
	refused, later := time.Now().Add(20*time.Millisecond).UnixNano(), make(chan error, 1)
	time.AfterFunc(20*time.Millisecond, func() { later <- lab.SetMTU("right", 1500) })
	if sent, err := sendAll(sender, packets); sent != 300 || !errors.Is(err, wire.ErrTooLong) || sender.Retries() == 0 {
		t.Fatalf("%d sent, %d retries, %v", sent, sender.Retries(), err)
	}
	if err := <-later; err != nil {
		t.Fatal(err)
	}
	between := time.Now().UnixNano()
	if sent, err := sendAll(sender, packets[301:]); sent != 399 || err != nil {
		t.Fatalf("%d sent, %v", sent, err)
	}
	for k, stamp := range readStamps(t, sender, stamps, 699) {
		if stamp.Frame != uint32(k) || stamp.Time < refused || k < 300 != (stamp.Time < between) {
			t.Fatalf("stamp %d: %+v, wanted from %d on, or from %d on for 300", k, stamp, refused, between)
		}
	}
}

// sendAll sends packets as package schedule does: again and again while the device has no room.
func sendAll(sender wire.Sender, packets []stream.Packet) (sent int, err error) {
	for sent < len(packets) && err == nil {
		var n int
		n, err = sender.Send(packets[sent:])
		sent += n
	}
	return sent, err
}

// onEveryWayStamped runs a test for each kind of socket that has timestamps.
func onEveryWayStamped(t *testing.T, test func(t *testing.T, sender wire.Sender, stamps wire.Stamps)) {
	if !lab.InNamespace(t) {
		return
	}
	onEveryWay(t, func(t *testing.T, _ *lab.Receiver, _ *wire.Interface, sender wire.Sender) {
		stamps, err := wire.StampFrames(sender)
		if strings.HasSuffix(t.Name(), "/xdp") {
			if err == nil {
				t.Error("an AF_XDP socket that was opened without timestamps has some")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		test(t, sender, stamps)
	})
}

// readStamps reads count stamps, and fails if there are more or less.
func readStamps(t *testing.T, sender wire.Sender, stamps wire.Stamps, count int) []wire.Stamp {
	t.Helper()
	if err := sender.Drain(); err != nil {
		t.Fatal(err)
	}
	got := make([]wire.Stamp, count)
	for n := 0; n < len(got); {
		more, err := stamps.Read(got[n:], time.Second)
		if more == 0 {
			t.Fatalf("%d stamps, wanted %d; %v", n, len(got), err)
		}
		n += more
	}
	if more, err := stamps.Read(make([]wire.Stamp, 1), 10*time.Millisecond); more != 0 || err != nil {
		t.Errorf("%d more stamps, %v", more, err)
	}
	return got
}
