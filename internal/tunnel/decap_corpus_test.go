package tunnel

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// TestTsharkSeesTheSameInside takes all packets of the corpus out of their tunnels. What tshark
// finds in them is what it found inside the tunnels, and no tunnel is left unless it is counted.
func TestTsharkSeesTheSameInside(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("no tshark here")
	}
	var inner, outer []stream.Packet // outer has those that came out of a tunnel
	var outerOf []int                // their indexes, or -1
	var captures []string            // of the packets
	var isKept []bool                // counted as still in a tunnel
	d := newDecapsulator(allKinds, 0)
	for name, data := range lab.CorpusCaptures(t) {
		packets := lab.ReadPackets(t, bytes.NewReader(data))
		for _, packet := range packets[:min(len(packets), 1000)] { // tshark is slow
			packet.Time = lab.Start + int64(len(inner))*1000 // some captures have times that a pcapng cannot hold
			batch := new(lab.Batch).Copy([]stream.Packet{packet})
			before := *d.Record()
			d.Decap(batch)
			after := *d.Record()
			inner, captures, isKept = append(inner, batch[0]), append(captures, name), append(isKept, after.Kept != before.Kept)
			if after.Packets == before.Packets {
				outerOf = append(outerOf, -1)
				continue
			}
			outerOf, outer = append(outerOf, len(outer)), append(outer, packet)
		}
	}
	folder := t.TempDir()
	before := dissect(t, filepath.Join(folder, "outer.pcapng"), outer)
	after := dissect(t, filepath.Join(folder, "inner.pcapng"), inner)
	compared, left := 0, 0
	for i, in := range after {
		if outerOf[i] >= 0 {
			out := before[outerOf[i]]
			if strings.HasSuffix(out[0], ":udp") { // with a length of 0, as of superframes, which tshark does not take
				continue
			}
			compared++
			if !sameInside(out, in) {
				t.Errorf("%s: packet of %d bytes:\n%q\nbecomes\n%q", captures[i], len(outer[outerOf[i]].Data), out, in)
			}
		} else if isInTunnel(in) {
			left++
			if !isKept[i] {
				t.Errorf("%s: packet of %d bytes in no tunnel: %q", captures[i], len(inner[i].Data), in)
			}
		}
	}
	t.Logf("%d packets, %d compared, %d still in a tunnel: %+v", len(inner), compared, left, d.Record())
	for kind := range kindCount {
		if d.removed[kind].total.Load() < 10 {
			t.Errorf("%v: only %d tunnels", kind, d.removed[kind].total.Load())
		}
	}
}

// sameInside reports whether the innermost headers of two dissections are equal.
func sameInside(outer, inner []string) bool {
	protocols := inner[0]
	for _, link := range []string{"eth:", "ethertype:", "sll:", "raw:", "null:", "ppp:"} {
		protocols = strings.TrimPrefix(protocols, link)
	}
	for i := 1; i < len(inner); i++ {
		if inner[i] != "" && inner[i] != outer[i] { // what is not inside is outside
			return false
		}
	}
	return protocols != "" && strings.HasSuffix(untilTCP(outer[0]), untilTCP(protocols))
}

// untilTCP leaves out the protocols that tshark finds only with other packets of the connection.
func untilTCP(protocols string) string {
	const tcp = ":tcp"
	if at := strings.LastIndex(protocols, tcp); at >= 0 {
		return protocols[:at+len(tcp)]
	}
	return protocols
}

// isInTunnel reports whether tshark finds a packet in a tunnel that is known here.
func isInTunnel(dissected []string) bool {
	protocols := dissected[0]
	for _, unknown := range []string{
		"avsp", "vntag", // tags of vendors
		"gtpv2",  // which is GTP-C
		":sflow", // which has samples of frames
	} {
		if strings.Contains(protocols, unknown) {
			return false
		}
	}
	// The source port of GTP-U is not enough, and GTP-C is no tunnel: 3GPP TS 29.281, section 4.4.2.
	if port := dissected[destinationPort]; strings.Contains(protocols, ":gtp") && (port == "2123" || dissected[1] == "a1:a2:a3:a4:a5:a6") {
		return false
	}
	if dissected[ipSource] == "" { // an EtherType of IPv4 before IPv6
		protocols = strings.Replace(protocols, ":ip:ipv6", ":ipv6", 1)
	}
	for _, tunnel := range []string{":vlan:", ":ieee8021ad:", ":mpls:", ":pppoes:", ":gre:", ":erspan:", ":vxlan:", ":geneve:", ":gtp:", ":ip:ip:", ":ip:ipv6:", ":ipv6:ip:", ":ipv6:ipv6:"} {
		if strings.Contains(protocols+":", tunnel) {
			return true
		}
	}
	return false
}

// Indexes of a dissection.
var (
	ipSource        = 1 + slices.Index(fields, "ip.src")
	destinationPort = 1 + slices.Index(fields, "udp.dstport")
)

// fields are compared, as the innermost header has them.
var fields = []string{
	"eth.src", "eth.dst",
	"ip.src", "ip.dst", "ip.id", "ip.ttl", "ip.proto", "ip.len", "ipv6.src", "ipv6.dst", "ipv6.plen", "ipv6.hlim",
	"tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.flags", "udp.srcport", "udp.dstport", "udp.length", "icmp.type", "icmpv6.type", "arp.opcode",
}

// dissect returns the protocols of each packet, and fields.
func dissect(t *testing.T, path string, packets []stream.Packet) (rows [][]string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := stream.NewWriter(file, stream.WriterOptions{PcapNG: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Write(packets); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	args := []string{"-r", path, "-n", "-2", "-T", "fields", "-E", "occurrence=l", "-d", "udp.port==8472,vxlan",
		"-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE", "-e", "frame.protocols"}
	for _, field := range fields {
		args = append(args, "-e", field)
	}
	output, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(output)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	if len(rows) != len(packets) {
		t.Fatalf("tshark reads %d of %d packets", len(rows), len(packets))
	}
	return rows
}
