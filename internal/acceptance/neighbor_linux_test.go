package acceptance

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// A packet without an Ethernet header goes to the MAC address to which the kernel sends a
// packet of its own: that of the host, or that of the gateway.
func TestRawPacketsGoToNeighbors(t *testing.T) {
	lab.NeedProgram(t, "ip")
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	receiver := injectLab(t)
	shell(t, `
		ip addr add 192.0.2.1/24 dev left
		ip neigh add 192.0.2.9 lladdr 02:00:00:00:09:09 dev left
		ip neigh add 192.0.2.8 lladdr 02:00:00:00:08:08 dev left
		ip route add 198.51.100.0/24 via 192.0.2.8
		ip route add 203.0.113.0/24 via 192.0.2.7 # without a neighbor`)
	const kernelPort, ourPort = 9, 20000
	for address, mac := range map[string]string{
		"192.0.2.9": "02:00:00:00:09:09", "198.51.100.1": "02:00:00:00:08:08", "203.0.113.1": "02:00:00:00:00:02", "192.0.2.77": "02:00:00:00:00:02",
	} {
		lab.WriteCapture(t, "raw.pcap", []stream.Packet{rawPacket(address)})
		got, _ := inject(t, receiver, exitDone, "--link", "ethernet", "raw.pcap")
		if len(got) != 1 || net.HardwareAddr(got[0].Data[:6]).String() != mac || binary.BigEndian.Uint16(got[0].Data[36:]) != ourPort {
			t.Errorf("to %s: %d frames, the first to %s, wanted one to %s", address, len(got), net.HardwareAddr(got[0].Data[:6]), mac)
		}
		if strings.HasSuffix(mac, ":00:02") {
			continue // the kernel would ask by ARP
		}
		connection, err := net.Dial("udp", net.JoinHostPort(address, "9"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = connection.Write([]byte("kernel"))
		connection.Close()
		if err != nil {
			t.Fatal(err)
		}
		kernels, err := receiver.Receive(time.Second, 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(kernels) != 1 || binary.BigEndian.Uint16(kernels[0].Data[36:]) != kernelPort || !bytes.Equal(kernels[0].Data[:6], got[0].Data[:6]) {
			t.Errorf("to %s: the kernel sends to %x, we send to %x", address, dataOf(kernels), got[0].Data[:6])
		}
	}
	lab.WriteCapture(t, "raw.pcap", []stream.Packet{rawPacket("192.0.2.77")})
	for args, want := range map[string]string{
		"--dst-mac 02:00:00:00:00:55 --src-mac 02:00:00:00:00:66": "02000000005502000000006608004500",
		"--map 192.0.2.77/32=192.0.2.9/32":                        "02000000090902000000000108004500",
		"--map 192.0.2.77/32=192.0.2.9/32 --vlan push:7":          "02000000090902000000000181000007",
		"--map 192.0.2.77/32=192.0.2.76/32":                       "02000000000202000000000108004500",
	} {
		got, s := inject(t, receiver, exitDone, append(strings.Fields(args), "--link", "ethernet", "raw.pcap")...)
		if len(got) != 1 || hex.EncodeToString(got[0].Data[:16]) != want || s.Rewritten.Packets != 1 {
			t.Errorf("%s: %x, wanted %s; %+v", args, dataOf(got), want, s.Rewritten)
		}
	}
}

// rawPacket is a UDP packet to an IPv4 address, without a link header.
func rawPacket(address string) stream.Packet {
	data := lab.Frame(0, 1, 100)[14:]
	copy(data[16:], net.ParseIP(address).To4())
	return stream.Packet{Time: lab.Start, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeRaw}
}
