package frame

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// exchange is one packet between two hosts, as the tests describe it.
type exchange struct {
	from, to         byte // hosts
	fromPort, toPort uint16
	protocol         byte
	kind             byte // flags of TCP, type of ICMP, operation of ARP
	fragment         byte // 0: whole, 1: first, 2: later
	v6               bool
	authenticated    bool      // with an authentication header, in IPv4
	quoted           *exchange // in an ICMP error
}

// Protocols of packets that are not IP.
const (
	isARP   = 0xff
	isOther = 0xfe // another EtherType
)

// network encodes the packet from the IP header on.
func (e *exchange) network() []byte {
	var transport []byte
	switch e.protocol {
	case ProtocolTCP, ProtocolUDP:
		transport = binary.BigEndian.AppendUint16(nil, e.fromPort)
		transport = binary.BigEndian.AppendUint16(transport, e.toPort)
		transport = append(transport, make([]byte, 16)...)
		transport[13] = e.kind
	default:
		transport = append([]byte{e.kind}, make([]byte, 7)...)
		if e.quoted != nil {
			transport = append(transport, e.quoted.network()...)
		}
	}
	if e.v6 {
		header := make([]byte, 40)
		header[0], header[6], header[23], header[39] = 0x60, e.protocol, e.from, e.to
		if e.fragment > 0 {
			header[6] = ProtocolFragment
			transport = append([]byte{e.protocol, 0, 0, 1, 0, 0, 0, 9}, transport...)
			if e.fragment == 2 {
				transport[2] = 1 // an offset of 256 bytes
			}
		}
		return append(header, transport...)
	}
	header := make([]byte, 20)
	header[0], header[9], header[15], header[19] = 0x45, e.protocol, e.from, e.to
	if e.authenticated {
		header[9] = ProtocolAuthentication
		transport = append([]byte{e.protocol, 4, 23: 0}, transport...) // 24 bytes
	}
	switch e.fragment {
	case 1:
		header[6] = moreFragment >> 8
	case 2:
		header[7] = 32
	}
	return append(header, transport...)
}

// packet encodes the packet as an Ethernet frame.
func (e *exchange) packet() *stream.Packet {
	data := []byte{2, 0, 0, 0, 0, e.to, 2, 0, 0, 0, 0, e.from}
	switch {
	case e.protocol == isARP:
		data = append(data, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, e.kind)
	case e.protocol == isOther:
		data = append(data, 0x88, 0xcc, 1, 2, 3, 4)
	case e.v6:
		data = append(append(data, 0x86, 0xdd), e.network()...)
	default:
		data = append(append(data, 0x08, 0x00), e.network()...)
	}
	return &stream.Packet{Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet}
}

// Each rule for the client of a flow, one packet after another.
func TestClientsOfFlows(t *testing.T) {
	const syn, synAck, ack = 0x02, 0x12, 0x10
	tcp := func(from, to byte, fromPort, toPort uint16, flags byte) *exchange {
		return &exchange{from: from, to: to, fromPort: fromPort, toPort: toPort, protocol: ProtocolTCP, kind: flags}
	}
	udp := func(from, to byte, fromPort, toPort uint16) *exchange {
		return &exchange{from: from, to: to, fromPort: fromPort, toPort: toPort, protocol: ProtocolUDP}
	}
	icmp := func(from, to, kind byte, quoted *exchange) *exchange {
		return &exchange{from: from, to: to, protocol: ProtocolICMP, kind: kind, quoted: quoted}
	}
	fragment := func(e *exchange, which byte) *exchange { e.fragment = which; return e }
	inIPv6 := func(e *exchange) *exchange { e.v6 = true; return e }
	inAH := func(e *exchange) *exchange { e.authenticated = true; return e }
	type step struct {
		packet     *exchange
		fromClient bool
	}
	for name, steps := range map[string][]step{
		"SYN to a higher port":      {{tcp(1, 2, 80, 9000, syn), true}, {tcp(2, 1, 9000, 80, synAck), false}, {tcp(1, 2, 80, 9000, ack), true}},
		"SYN with ACK first":        {{tcp(1, 2, 9000, 80, synAck), false}, {tcp(2, 1, 80, 9000, ack), true}},
		"data of the client first":  {{tcp(1, 2, 9000, 3306, ack), true}, {tcp(2, 1, 3306, 9000, ack), false}},
		"data of the server first":  {{tcp(2, 1, 3306, 9000, ack), false}, {tcp(1, 2, 9000, 3306, ack), true}},
		"equal ports":               {{tcp(1, 2, 179, 179, ack), true}, {tcp(2, 1, 179, 179, ack), false}},
		"SYN after a wrong guess":   {{tcp(1, 2, 20, 1024, ack), false}, {tcp(1, 2, 20, 1024, syn), true}, {tcp(2, 1, 1024, 20, ack), false}},
		"query":                     {{udp(1, 2, 9000, 53), true}, {udp(2, 1, 53, 9000), false}},
		"answer first":              {{udp(2, 1, 53, 9000), false}, {udp(1, 2, 9000, 53), true}},
		"two high ports":            {{udp(1, 2, 5000, 9000), true}, {udp(2, 1, 9000, 5000), false}},
		"two low ports":             {{udp(1, 2, 123, 123), true}, {udp(2, 1, 123, 123), false}},
		"two flows of two hosts":    {{udp(1, 2, 9000, 53), true}, {udp(2, 1, 9000, 53), true}, {udp(2, 1, 53, 9000), false}},
		"itself":                    {{udp(1, 1, 9000, 9000), true}, {udp(1, 1, 9000, 9000), true}},
		"UDP and TCP":               {{udp(1, 2, 5000, 9000), true}, {tcp(2, 1, 9000, 5000, syn), true}, {udp(1, 2, 5000, 9000), true}},
		"fragments after the flow":  {{udp(1, 2, 9000, 53), true}, {fragment(udp(2, 1, 53, 9000), 2), false}, {fragment(udp(2, 1, 53, 9000), 1), false}},
		"first fragment first":      {{fragment(udp(2, 1, 53, 9000), 1), false}, {fragment(udp(2, 1, 0, 0), 2), false}},
		"last fragment first":       {{fragment(udp(2, 1, 0, 0), 2), true}, {fragment(udp(2, 1, 53, 9000), 1), true}},
		"IPv6 fragments":            {{inIPv6(udp(1, 2, 9000, 53)), true}, {inIPv6(fragment(udp(2, 1, 0, 0), 2)), false}, {inIPv6(fragment(udp(2, 1, 53, 9000), 1)), false}},
		"authentication headers":    {{inAH(udp(2, 1, 53, 9000)), false}, {inAH(udp(1, 2, 9000, 53)), true}},
		"echo":                      {{icmp(1, 2, 8, nil), true}, {icmp(2, 1, 0, nil), false}, {icmp(2, 1, 8, nil), true}},
		"echo reply first":          {{icmp(2, 1, 0, nil), false}},
		"error of a known flow":     {{tcp(1, 2, 80, 9000, syn), true}, {icmp(2, 1, 3, tcp(1, 2, 80, 9000, ack)), false}, {icmp(1, 2, 3, tcp(2, 1, 9000, 80, ack)), true}},
		"error of a router":         {{udp(1, 2, 9000, 53), true}, {icmp(77, 1, 11, udp(1, 2, 9000, 53)), false}, {icmp(77, 2, 11, udp(2, 1, 53, 9000)), true}},
		"error of an unknown flow":  {{icmp(77, 1, 11, udp(1, 2, 9000, 53)), false}, {udp(2, 1, 53, 9000), false}},
		"error without a packet":    {{icmp(77, 1, 11, nil), true}, {icmp(1, 77, 11, nil), false}},
		"other protocols":           {{&exchange{from: 1, to: 2, protocol: 47}, true}, {&exchange{from: 2, to: 1, protocol: 47}, false}, {&exchange{from: 2, to: 1, protocol: 50}, false}},
		"other protocol after flow": {{udp(2, 1, 9000, 53), true}, {&exchange{from: 1, to: 2, protocol: 47}, false}},
		"ARP":                       {{&exchange{from: 2, to: 0xff, protocol: isARP, kind: 1}, true}, {&exchange{from: 1, to: 2, protocol: isARP, kind: 2}, false}},
		"MAC addresses":             {{&exchange{from: 2, to: 1, protocol: isOther}, true}, {&exchange{from: 1, to: 2, protocol: isOther}, false}},
		"neighbor discovery":        {{inIPv6(&exchange{from: 1, to: 2, protocol: ProtocolICMPv6, kind: 135}), true}, {inIPv6(&exchange{from: 2, to: 1, protocol: ProtocolICMPv6, kind: 136}), false}},
	} {
		c := NewClients()
		for i, step := range steps {
			if got, decided := c.FromClient(step.packet.packet()); !decided || got != step.fromClient {
				t.Errorf("%s: packet %d is from the client: %v, %v; wanted %v", name, i+1, got, decided, step.fromClient)
			}
		}
	}
}

func TestClientsUndecided(t *testing.T) {
	c := NewClients()
	for name, packet := range map[string]stream.Packet{
		"no MAC addresses": {Data: make([]byte, 11), LinkType: stream.LinkTypeEthernet},
		"no data":          {LinkType: stream.LinkTypeRaw},
		"IPX in cooked":    {Data: slices.Concat(make([]byte, 14), []byte{0x81, 0x37, 1, 2, 3}), LinkType: stream.LinkTypeLinuxSLL},
		"another type":     {Data: make([]byte, 100), LinkType: stream.LinkTypeIEEE80211},
	} {
		if _, decided := c.FromClient(&packet); decided {
			t.Errorf("%s: decided", name)
		}
	}
}

// A full group forgets the flow that was seen longest ago: here against a list.
func TestClientsForgetTheOldest(t *testing.T) {
	c := newClients(1)
	var list []string // the last one was seen last
	for i := range 20_000 {
		host := byte(i * i % 13)
		e := &exchange{from: host, to: 200, protocol: 47}
		if i%3 == 0 {
			e.from, e.to = e.to, e.from
		}
		known := slices.IndexFunc(list, func(flow string) bool { return flow[1:] == fmt.Sprint(host) })
		want := true
		if opened := byte('f'); known < 0 {
			if e.from != host {
				opened = 't'
			}
			list = append(list, string(opened)+fmt.Sprint(host))
		} else {
			flow := list[known]
			want = (flow[0] == 'f') == (e.from == host)
			list = append(slices.Delete(list, known, known+1), flow)
		}
		if len(list) > 8 {
			list = list[1:]
		}
		if got, _ := c.FromClient(e.packet()); got != want {
			t.Fatalf("packet %d of host %d is from the client: %v, wanted %v", i, host, got, want)
		}
	}
}

// model is what Clients promises, with maps that grow without limit.
type model struct {
	flows map[string]byte // client of each flow: the host, or port for a host that talks to itself
	pairs map[string]byte
}

func (m *model) settle(known map[string]byte, flow string, from, to byte, guess, certain bool) (fromClient, isNew bool) {
	client, ok := known[flow]
	if !ok || certain {
		client = to
		if guess {
			client = from
		}
		known[flow] = client
	}
	return client == from, !ok
}

// fromClient is for hosts that do not talk to themselves.
func (m *model) fromClient(e *exchange) bool {
	pair := fmt.Sprint(e.v6, min(e.from, e.to), max(e.from, e.to))
	sentPair := func(kinds string, guess bool) bool {
		fromClient, _ := m.settle(m.pairs, kinds+pair, e.from, e.to, guess, false)
		return fromClient
	}
	isICMP := e.protocol == ProtocolICMP || e.protocol == ProtocolICMPv6
	whole := e.fragment == 0
	switch {
	case e.protocol == isARP && (e.kind == 1 || e.kind == 2):
		return e.kind == 1
	case e.protocol == isARP || e.protocol == isOther:
		pair = fmt.Sprint(min(e.from, e.to), max(e.from, e.to))
		return sentPair("mac", true)
	case isICMP && e.fragment < 2 && (e.kind == 8 || e.kind == 128):
		return whole || sentPair("ip", true)
	case isICMP && e.fragment < 2 && (e.kind == 0 || e.kind == 129):
		return !whole && sentPair("ip", false)
	case isICMP && whole && e.quoted != nil:
		return !m.fromClient(e.quoted)
	case e.fragment == 2 || e.protocol != ProtocolTCP && e.protocol != ProtocolUDP:
		return sentPair("ip", true)
	}
	guess, certain := true, false
	low := func(port uint16) bool { return port < 1024 }
	switch {
	case e.protocol == ProtocolTCP && e.kind&0x02 != 0:
		guess, certain = e.kind&0x10 == 0, true
	case e.protocol == ProtocolTCP && e.fromPort != e.toPort, low(e.fromPort) != low(e.toPort):
		guess = e.fromPort > e.toPort
	}
	if !whole {
		return sentPair("ip", guess)
	}
	ends := []string{fmt.Sprint(e.from, e.fromPort), fmt.Sprint(e.to, e.toPort)}
	slices.Sort(ends)
	fromClient, isNew := m.settle(m.flows, fmt.Sprint(e.v6, e.protocol, ends), e.from, e.to, guess, certain)
	if isNew {
		sentPair("ip", guess)
	}
	return fromClient
}

// exchangeOf makes a packet of a few bytes, so that a fuzzer finds flows that meet.
func exchangeOf(b []byte) *exchange {
	ports := []uint16{20, 53, 80, 1024, 5060, 9000}
	e := &exchange{from: b[0] & 3, to: b[0] >> 2 & 3, v6: b[0]&0x10 != 0, fragment: b[0] >> 5 % 3}
	if e.from == e.to {
		e.to = e.from ^ 1
	}
	e.protocol = []byte{ProtocolTCP, ProtocolUDP, 47, ProtocolICMP, ProtocolICMPv6, isARP, isOther, ProtocolTCP}[b[1]&7]
	e.fromPort, e.toPort = ports[int(b[2])%len(ports)], ports[int(b[2]>>4)%len(ports)]
	switch e.protocol {
	case ProtocolTCP:
		e.kind = b[1] >> 3
	case ProtocolICMP:
		e.kind = []byte{8, 0, 99}[b[1]>>3%3]
	case ProtocolICMPv6:
		e.kind = []byte{128, 129, 200}[b[1]>>3%3]
	case isARP:
		e.kind = b[1] >> 3 & 3
	}
	return e
}

// FuzzClients compares the answers with those of a simple model.
func FuzzClients(f *testing.F) {
	f.Add([]byte{0x04, 0x10, 0x05, 0x01, 0x90, 0x50, 0x24, 0x01, 0x15, 0x41, 0x01, 0x51})
	f.Add([]byte{0x14, 0x01, 0x15, 0x34, 0x01, 0x51, 0x54, 0x01, 0x15, 0x04, 0x06, 0x00, 0x01, 0x05, 0x00})
	f.Add([]byte{0x04, 0x04, 0x33, 0x14, 0x0c, 0x33, 0x04, 0x13, 0x00, 0x01, 0x03, 0x00, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, script []byte) {
		c, m := newClients(1<<10), &model{map[string]byte{}, map[string]byte{}}
		for i := 0; len(script) >= 3; i++ {
			e := exchangeOf(script)
			script = script[3:]
			if quotes := e.kind == 99 || e.kind == 200; quotes && len(script) >= 3 { // an ICMP error
				e.kind = map[byte]byte{99: 3, 200: 1}[e.kind]
				e.quoted = exchangeOf(script)
				script = script[3:]
				if e.quoted.protocol == isARP || e.quoted.protocol == isOther || e.quoted.kind > 0x1f {
					e.quoted.protocol, e.quoted.kind = ProtocolUDP, 0
				}
			}
			if len(m.flows)+len(m.pairs) > 100 {
				return // a group may be full
			}
			if got, decided := c.FromClient(e.packet()); !decided || got != m.fromClient(e) {
				t.Fatalf("packet %d, %+v: from the client: %v, %v", i, e, got, decided)
			}
		}
	})
}

// FuzzClientsOfAnything asks twice about any bytes: nothing has changed in between.
func FuzzClientsOfAnything(f *testing.F) {
	c := newClients(16)
	f.Add(lab.Frame(1, 2, 60), uint16(1))
	f.Add([]byte{0x60, 0, 0, 0, 0, 9, 44, 1}, uint16(101))
	f.Fuzz(func(t *testing.T, data []byte, link uint16) {
		packet := &stream.Packet{Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkType(link)}
		first, decided := c.FromClient(packet)
		if again, decidedAgain := c.FromClient(packet); again != first || decidedAgain != decided {
			t.Errorf("from the client: %v, %v, then %v, %v", first, decided, again, decidedAgain)
		}
	})
}

// clientPackets are packets of many flows in both directions.
func clientPackets(flows int) (packets []stream.Packet) {
	for i := range flows {
		for _, back := range []bool{false, true} {
			frame := lab.Frame(uint16(i), uint32(i), 100)
			if back {
				ip := frame[26:38]
				copy(ip, slices.Concat(frame[30:34], frame[26:30], frame[36:38], frame[34:36]))
			}
			packets = append(packets, stream.Packet{Data: frame, WireLength: 100, LinkType: stream.LinkTypeEthernet})
		}
	}
	return packets
}

func TestClientsDoNotAllocate(t *testing.T) {
	c, packets := NewClients(), clientPackets(1000)
	if allocated := testing.AllocsPerRun(10, func() {
		for i := range packets {
			c.FromClient(&packets[i])
		}
	}); allocated != 0 {
		t.Errorf("%v allocations for %d packets", allocated, len(packets))
	}
}

// BenchmarkClients is the cost of a decision, by the number of flows that meet.
func BenchmarkClients(b *testing.B) {
	for _, flows := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(flows), func(b *testing.B) {
			c, packets := NewClients(), clientPackets(flows)
			for b.Loop() {
				for i := range packets {
					c.FromClient(&packets[i])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(packets)), "ns/packet")
		})
	}
}
