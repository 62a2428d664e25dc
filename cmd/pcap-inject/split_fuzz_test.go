package main

import (
	"encoding/binary"
	"testing"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// side records the packets of one interface. It takes a few at a time, and then refuses one.
type side struct {
	wire.Sender
	room int
	err  error   // when there is no room; nil if it is to be tried again
	got  []int64 // the times of the packets, which are their numbers
}

func (s *side) Send(packets []stream.Packet) (int, error) {
	for i := range packets {
		if s.room == 0 {
			return i, s.err
		}
		s.room--
		s.got = append(s.got, packets[i].Time)
	}
	return len(packets), nil
}

// splitScript makes packets of a script, four bytes each: between two of four hosts, with a
// few ports, over TCP or UDP.
func splitScript(script []byte) (packets []stream.Packet) {
	ports := []uint16{53, 80, 1023, 1024, 2049, 9000, 40000, 65535}
	for ; len(script) >= 4; script = script[4:] {
		data := lab.Frame(0, 0, 60)
		from, to := script[0]&3, script[0]>>2&3
		if from == to {
			to ^= 1
		}
		data[14+9] = frame.ProtocolUDP
		if script[1]&0x80 != 0 {
			data[14+9] = frame.ProtocolTCP
		}
		data[14+15], data[14+19] = from, to
		binary.BigEndian.PutUint16(data[34:], ports[script[2]&7])
		binary.BigEndian.PutUint16(data[36:], ports[script[2]>>4&7])
		data[34+12], data[34+13] = 5<<4, script[1]&0x12 // ACK and SYN
		packets = append(packets, stream.Packet{
			Time: int64(len(packets)), Data: data, WireLength: 60, LinkType: stream.LinkTypeEthernet, Direction: stream.Direction(script[3] % 3),
		})
	}
	return packets
}

// splitFlow names the flow of a packet of splitScript, and one of its directions.
func splitFlow(data []byte) (flow string, isForward bool) {
	from, to := string(data[14+15])+string(data[34:36]), string(data[14+19])+string(data[36:38])
	if from > to {
		return string(data[14+9]) + to + from, false
	}
	return string(data[14+9]) + from + to, true
}

// FuzzSplit holds that every packet leaves on one interface, once and in order, however the
// interfaces take them; and that both directions of a flow leave on different ones, until a
// SYN says who is the client.
func FuzzSplit(f *testing.F) {
	f.Add(byte(0), []byte("\x01\x82\x61\x00\x04\x92\x16\x00\x01\x80\x61\x00\x04\x80\x16\x00\x01\x90\x61\x00"))
	f.Add(byte(0), []byte("\x01\x00\x24\x00\x04\x00\x42\x00\x01\x00\x24\x00\x06\x00\x04\x00\x09\x00\x40\x00"))
	f.Add(byte(1), []byte("\x01\x80\x61\x00\x04\x90\x16\x01\x01\x90\x61\x02\x04\x80\x16\x01"))
	f.Add(byte(2), []byte("\x01\x00\x61\x00\x04\x00\x16\x01\x06\x00\x61\x02\x09\x80\x16\x01"))
	f.Fuzz(func(t *testing.T, mode byte, script []byte) {
		text := []string{splitByClients, splitByDirection, "src host 10.0.0.1 or dst port 80"}[mode%3]
		s, err := newSplitter(text)
		if err != nil {
			t.Fatal(err)
		}
		packets := splitScript(script[:min(len(script), 400)])
		before := make([]stream.Direction, len(packets))
		for i := range packets {
			before[i] = packets[i].Direction
		}
		for i := range packets {
			if err := s.direct(&packets[i]); err != nil {
				t.Fatal(err)
			}
		}
		forward := map[string]int{} // the side of one direction of a flow
		for i := range packets {
			packet := &packets[i]
			flow, isForward := splitFlow(packet.Data)
			at := sideOf(packet)
			if !isForward {
				at = 1 - at
			}
			isSYN := packet.Data[14+9] == frame.ProtocolTCP && packet.Data[34+13]&2 != 0
			from, toPort := packet.Data[14+15], binary.BigEndian.Uint16(packet.Data[36:])
			switch known, ok := forward[flow]; {
			case text == splitByDirection:
				if packet.Direction != before[i] {
					t.Fatalf("packet %d: direction %v becomes %v", i, before[i], packet.Direction)
				}
			case text != splitByClients:
				if isFirst := from == 1 || toPort == 80; isFirst != (sideOf(packet) == 0) {
					t.Fatalf("packet %d: on side %d", i, sideOf(packet))
				}
			case ok && !isSYN && at != known:
				t.Fatalf("packet %d: a flow has both directions on side %d: %x", i, sideOf(packet), packet.Data[14:])
			default:
				forward[flow] = at
			}
		}
		sides := [2]*side{{}, {}}
		sender, taken := newSplitSender(sides[0], sides[1]), 0
		for left := packets; len(left) > 0; {
			turn := int(left[0].Data[34+1]) + len(left)
			sides[turn%2].room, sides[1-turn%2].room = 1+turn%5, 1+turn%3
			sides[0].err, sides[1].err = nil, errFull
			n, err := sender.Send(left)
			if taken += n; n < len(left) && err != sides[sideOf(&left[n])].err {
				t.Fatalf("%d packets of %d sent, %v", n, len(left), err)
			}
			left = left[n:]
		}
		seen := 0
		for k, got := range sides {
			next := 0
			for i := range packets {
				if sideOf(&packets[i]) != k {
					continue
				}
				if next == len(got.got) || got.got[next] != packets[i].Time {
					t.Fatalf("side %d: packet %d is missing or out of order: %v", k, i, got.got)
				}
				next++
			}
			seen += len(got.got)
		}
		frames0, _ := sender.sides[0].sent()
		frames1, _ := sender.sides[1].sent()
		if seen != len(packets) || taken != len(packets) || frames0+frames1 != int64(len(packets)) {
			t.Fatalf("%d packets left, %d and %d counted of %d", seen, frames0, frames1, len(packets))
		}
	})
}
