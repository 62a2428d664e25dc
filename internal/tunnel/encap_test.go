package tunnel

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// The headers are those of the figures in RFC 7348, section 5, and RFC 8926, section 3.4.
func TestHeaders(t *testing.T) {
	for _, test := range []struct {
		name string
		vni  uint32
		want []byte
	}{
		{"vxlan", 0, []byte{0x08, 0, 0, 0, 0, 0, 0, 0}},
		{"vxlan", 0x123456, []byte{0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0}},
		{"geneve", 0, []byte{0, 0, 0x65, 0x58, 0, 0, 0, 0}},
		{"geneve", MaxVNI, []byte{0, 0, 0x65, 0x58, 0xff, 0xff, 0xff, 0}},
	} {
		e, ok := FindEncapsulation(test.name)
		if got := e.Header(test.vni); !ok || !bytes.Equal(got, test.want) {
			t.Errorf("%s, VNI %d: % x, wanted % x", test.name, test.vni, got, test.want)
		}
	}
	if e, ok := FindEncapsulation("gre"); ok {
		t.Errorf("gre is %+v", e)
	}
}

// Taking a frame out of a tunnel gives the frame that was put in.
func TestDecapsulationOfEncapsulation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 22))
	for range 2000 {
		e := encapsulations[r.IntN(len(encapsulations))]
		in := inIP(r, frame.ProtocolUDP, random(r, r.IntN(1500))).framed()
		out := inUDP(r, e.Port, concat(e.Header(r.Uint32N(MaxVNI+1)), in)).framed()
		packets := []stream.Packet{{Data: out, WireLength: uint32(len(out)), LinkType: stream.LinkTypeEthernet}}
		newDecapsulator(1<<e.Kind, 1).Decap(packets)
		if !bytes.Equal(packets[0].Data, in) || packets[0].WireLength != uint32(len(in)) {
			t.Fatalf("%s: % x in % x gives % x", e.Kind, in, out, packets[0].Data)
		}
	}
}
