package frame

import (
	"encoding/binary"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// tcpprep returns whether tcpprep puts each packet on the side of the clients.
func tcpprep(t *testing.T, packets []stream.Packet, mode string) (fromClient []bool) {
	t.Helper()
	folder := t.TempDir()
	path, cache := filepath.Join(folder, "capture.pcap"), filepath.Join(folder, "cache")
	lab.WriteCapture(t, path, packets)
	if output, err := exec.Command("tcpprep", mode, "-i", path, "-o", cache).CombinedOutput(); err != nil {
		t.Fatalf("tcpprep %s: %v: %s", mode, err, output)
	}
	output, err := exec.Command("tcpprep", "--print-info="+cache).Output()
	if err != nil {
		t.Fatalf("tcpprep --print-info: %v", err)
	}
	for line := range strings.Lines(string(output)) {
		fromClient = append(fromClient, strings.HasSuffix(strings.TrimSpace(line), "Primary"))
	}
	if len(fromClient) != len(packets) {
		t.Fatalf("tcpprep %s: %d lines for %d packets: %.200s", mode, len(fromClient), len(packets), output)
	}
	return fromClient
}

// portsOf returns the ports of a TCP or UDP packet that is not a fragment.
func portsOf(packet *stream.Packet) (from, to uint16, d datagram, ok bool) {
	network, etherType := NetworkHeader(packet)
	d, ok = parseDatagram(network, etherType)
	if !ok || d.isFragment || d.protocol != ProtocolTCP && d.protocol != ProtocolUDP {
		return 0, 0, d, false
	}
	from, to, ok = d.ports()
	return from, to, d, ok
}

// If one of the ports is below 1024, the client is that of tcpprep --port, unless a SYN says
// otherwise: tcpprep does not look at it there.
func TestClientsAreThoseOfTcpprepByPort(t *testing.T) {
	lab.NeedProgram(t, "tcpprep")
	var packets []stream.Packet
	for _, packet := range ethernetOfCorpus(t) {
		// tcpprep knows nothing behind VLAN tags, MPLS and PPPoE.
		etherType := uint16(0)
		if len(packet.Data) >= EthernetLength {
			etherType = binary.BigEndian.Uint16(packet.Data[EthernetLength-2:])
		}
		from, to, d, ok := portsOf(&packet)
		if ok && (from < 1024) != (to < 1024) && (etherType == EtherTypeIPv4 || etherType == EtherTypeIPv6) && len(d.payload) >= minTCP {
			packets = append(packets, packet)
		}
	}
	clients := newClients(1 << 18)
	differ, opened := 0, map[[2]address]bool{} // flows that the side with the lower port has opened
	for i, want := range tcpprep(t, packets, "--port") {
		from, to, d, _ := portsOf(&packets[i])
		flow := [2]address{d.from + address(from), d.to + address(to)}
		if from > to {
			flow[0], flow[1] = flow[1], flow[0]
		}
		if d.protocol == ProtocolTCP && d.payload[13]&0x02 != 0 {
			opened[flow] = (d.payload[13]&0x10 == 0) == (from < to)
		}
		got, decided := clients.FromClient(&packets[i])
		if !decided || got != (want != opened[flow]) {
			if differ++; differ < 10 {
				t.Errorf("port %d to %d: %v, wanted %v as tcpprep; opened by the lower port: %v", from, to, got, want, opened[flow])
			}
		}
	}
	if len(packets) < 10_000 || len(opened) < 100 {
		t.Errorf("%d packets, %d flows with a SYN: too few to tell", len(packets), len(opened))
	}
}

// segmentOf is a TCP segment between two hosts 10.0.0.N.
func segmentOf(from, to byte, fromPort, toPort uint16, flags byte) stream.Packet {
	data := lab.Frame(0, 0, 60)
	data[14+9], data[14+15], data[14+19] = ProtocolTCP, from, to
	binary.BigEndian.PutUint16(data[34:], fromPort)
	binary.BigEndian.PutUint16(data[36:], toPort)
	data[34+12], data[34+13] = 5<<4, flags
	return stream.Packet{Time: lab.Start, Data: data, WireLength: 60, LinkType: stream.LinkTypeEthernet}
}

// With --auto=client, tcpprep puts a host on one side. It agrees as long as each host is
// either a client or a server. A host that is both is on the side of each flow here, and
// on the side of most of its flows there.
func TestClientsAreThoseOfTcpprepByHost(t *testing.T) {
	lab.NeedProgram(t, "tcpprep")
	const syn, synACK, ack = 0x02, 0x12, 0x10
	flow := func(client, server byte, clientPort, serverPort uint16) []stream.Packet {
		return []stream.Packet{
			segmentOf(client, server, clientPort, serverPort, syn), segmentOf(server, client, serverPort, clientPort, synACK),
			segmentOf(client, server, clientPort, serverPort, ack), segmentOf(server, client, serverPort, clientPort, ack),
		}
	}
	var packets []stream.Packet
	for client := byte(1); client <= 5; client++ {
		for server := byte(101); server <= 103; server++ {
			packets = append(packets, flow(client, server, 900+uint16(client), 2049)...) // NFS clients have ports below 1024
			packets = append(packets, flow(client, server, 40000+uint16(client), 8080)...)
		}
	}
	oneRole := len(packets)
	packets = append(packets, flow(101, 102, 40000, 8080)...) // a server asks another one
	c, both := NewClients(), 0
	for i, want := range tcpprep(t, packets, "--auto=client") {
		got, _ := c.FromClient(&packets[i])
		if i < oneRole && got != want {
			t.Errorf("packet %d: %v, wanted %v", i+1, got, want)
		}
		if i >= oneRole && got {
			both++
			if want {
				t.Errorf("packet %d: tcpprep puts a host on both sides", i+1)
			}
		}
	}
	if both != 2 {
		t.Errorf("%d of the last 4 packets are from the client, wanted 2", both)
	}
}
