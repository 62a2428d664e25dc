package tunnel

import "encoding/binary"

// Encapsulation is a way to carry Ethernet frames in UDP datagrams.
type Encapsulation struct {
	Kind Kind
	// Port is the UDP port that IANA has assigned to it.
	Port uint16
	// ZeroChecksum means that the UDP checksum over IPv4 should be zero.
	ZeroChecksum bool
}

// encapsulations are those that there are. RFC 7348, section 5, recommends a checksum of
// zero, and RFC 8926, section 3.3, does not.
var encapsulations = []Encapsulation{
	{Kind: VXLAN, Port: portVXLAN, ZeroChecksum: true},
	{Kind: GENEVE, Port: portGENEVE},
}

// FindEncapsulation returns the encapsulation with a name, such as vxlan.
func FindEncapsulation(name string) (e Encapsulation, ok bool) {
	for _, e := range encapsulations {
		if e.Kind.String() == name {
			return e, true
		}
	}
	return e, false
}

// MaxVNI is the largest virtual network identifier, which has 24 bits.
const MaxVNI = 1<<24 - 1

// Header returns the header between UDP and the frame. It is the same for all frames of a
// virtual network.
func (e Encapsulation) Header(vni uint32) []byte {
	header := make([]byte, vxlanLength) // that of GENEVE without options is as long
	switch e.Kind {
	case VXLAN:
		header[0] = vxlanHasVNI
	case GENEVE:
		binary.BigEndian.PutUint16(header[2:], etherTypeTEB)
	}
	binary.BigEndian.PutUint32(header[4:], vni<<8)
	return header
}
