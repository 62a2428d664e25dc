package acceptance

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/lab"
)

// makeEvents makes the events and the table of networks that examples use.
func makeEvents(t *testing.T, folder string) {
	t.Helper()
	expectBash(t, folder, "-e", "-c", `
		printf '%s\t%s\n' 64499 192.0.2.0/24 64500 198.51.100.0/24 64500 10.0.0.0/31 > networks.tsv
		cat > eve.json << 'EOF'
{"event_type":"stats","stats":{"capture":{"kernel_packets":400,"kernel_drops":0},"decoder":{"pkts":400}}}
{"event_type":"flow","flow_id":64499,"proto":"TCP","src_ip":"10.0.1.1","src_port":10001,"dest_ip":"10.0.0.2","dest_port":20000}
{"event_type":"flow","flow_id":64500,"proto":"UDP","src_ip":"10.0.0.2","src_port":20000,"dest_ip":"10.0.0.1","dest_port":10000}
{"event_type":"alert","flow_id":64500,"proto":"UDP","src_ip":"10.0.0.2","src_port":20000,"dest_ip":"10.0.0.1","dest_port":10000,"alert":{}}
{"event_type":"alert","flow_id":64500,"proto":"UDP","src_ip":"10.0.0.2","src_port":20000,"dest_ip":"10.0.0.1","dest_port":10000,"alert":{}}
{"event_type":"alert","flow_id":64501,"proto":"UDP","vlan":[5,7],"src_ip":"10.0.3.1","src_port":10003,"dest_ip":"10.0.0.2","dest_port":20000,"alert":{}}
{"event_type":"alert","flow_id":64502,"proto":"IPv6-ICMP","src_ip":"fe80::1","dest_ip":"ff02::1","icmp_type":134,"alert":{}}
EOF`)
}

// The recipes for events of Suricata give the packets of the flows, and no others.
func TestRecipesOfEvents(t *testing.T) {
	lab.NeedProgram(t, "bash", "jq")
	linkTools(t)
	folder := t.TempDir()
	makeEvents(t, folder)
	flows := lab.Packets(50, lab.Start, time.Millisecond, 100)
	for i := range flows {
		flows[i].Data = lab.Frame(uint16(i%5), uint32(i), 100)
		if i%5 == 3 {
			flows[i].Data = slices.Concat(flows[i].Data[:12], []byte{0x81, 0, 0, 5, 0x81, 0, 0, 7}, flows[i].Data[12:])
		}
		if i%5 == 4 {
			flows[i].Data = inVXLAN(lab.Frame(0, uint32(i), 100))
		}
		flows[i].WireLength = uint32(len(flows[i].Data))
	}
	lab.WriteCapture(t, filepath.Join(folder, "set.pcap"), flows)
	for _, e := range examplesOf(t, "../../man/pcap-replay.7") {
		if regexp.MustCompile(`\b(eve\.jq|flow\.pcap|inner\.pcap|alerts\.pcap|hosts\.pcap|as\.pcap)\b`).MatchString(e.text) {
			expectBash(t, folder, "-e", "-o", "pipefail", "-c", e.text)
		}
	}
	for name, wanted := range map[string][]int{
		"flow.pcap": {0}, "inner.pcap": {0, 4}, "alerts.pcap": {0, 3}, "hosts.pcap": {0, 1, 2}, "as.pcap": {0},
	} {
		var want [][]byte
		for i := range flows {
			switch {
			case !slices.Contains(wanted, i%5):
			case name == "inner.pcap":
				want = append(want, lab.Frame(0, uint32(i), 100))
			default:
				want = append(want, flows[i].Data)
			}
		}
		if got := dataOf(lab.ReadCapture(t, filepath.Join(folder, name))); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s has %d packets, wanted %d, or they differ", name, len(got), len(want))
		}
	}
}

// inVXLAN puts a frame into VXLAN, between 172.16.0.1 and 172.16.0.2.
func inVXLAN(frame []byte) []byte {
	outer := lab.Frame(0, 0, 42)[:42]
	copy(outer[26:], []byte{172, 16, 0, 1, 172, 16, 0, 2})
	binary.BigEndian.PutUint16(outer[16:], uint16(20+8+8+len(frame)))
	binary.BigEndian.PutUint16(outer[36:], 4789)
	binary.BigEndian.PutUint16(outer[38:], uint16(8+8+len(frame)))
	return slices.Concat(outer, []byte{8, 0, 0, 0, 0, 0, 7, 0}, frame)
}
