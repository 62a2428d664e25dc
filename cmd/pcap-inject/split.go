package main

import (
	"errors"
	"sync/atomic"

	"pcap-replay/internal/filter"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// splitter decides on which of two interfaces each packet leaves, as --split says. The
// decision is the direction of the packet: see sideOf.
type splitter struct {
	text       string          // of --split
	expression *filter.Packets // or nil
	clients    *frame.Clients  // or nil; without both, the capture gives the direction
	warned     bool            // of a packet that could not be decided
}

// The values of --split that are words instead of expressions.
const (
	splitByClients   = "clients"
	splitByDirection = "direction"
)

func newSplitter(text string) (*splitter, error) {
	s := &splitter{text: text}
	switch text {
	case splitByClients:
		s.clients = frame.NewClients()
	case splitByDirection:
	default:
		var err error
		if s.expression, err = filter.NewPackets("--split", text); err != nil {
			mistake := tool.UsageErrorf("%w", err)
			if mistake.Hint() == "" {
				return nil, mistake.WithHint("--split also takes the words clients and direction")
			}
			return nil, mistake
		}
	}
	return s, nil
}

// sideOf returns the interface on which a packet leaves: 0 for the first -i, 1 for the
// second. What the capturing machine received, what clients sent, and what matches the
// expression leaves on the first. So does a packet that --split could not decide.
func sideOf(packet *stream.Packet) int {
	if packet.Direction == stream.Outbound {
		return 1
	}
	return 0
}

// decide sets the directions of packets. A nil splitter changes nothing. It fails if the
// expression does not support a link type.
func (s *splitter) decide(packets []stream.Packet, messages *tool.Messages) error {
	if s == nil {
		return nil
	}
	for i := range packets {
		packet := &packets[i]
		if err := s.direct(packet); err != nil {
			return err
		}
		if packet.Direction == stream.DirectionUnknown && !s.warned {
			s.warned = true
			s.warn(packet, messages)
		}
	}
	return nil
}

// direct sets the direction of a packet.
func (s *splitter) direct(packet *stream.Packet) error {
	first, decided := false, true
	switch {
	case s.expression != nil:
		var err error
		if first, err = s.expression.Match(packet); err != nil {
			return err
		}
	case s.clients != nil:
		first, decided = s.clients.FromClient(packet)
	default:
		return nil
	}
	switch {
	case !decided:
		packet.Direction = stream.DirectionUnknown
	case first:
		packet.Direction = stream.Inbound
	default:
		packet.Direction = stream.Outbound
	}
	return nil
}

// warn says once that a packet leaves on the first interface because nothing else is known.
func (s *splitter) warn(packet *stream.Packet, messages *tool.Messages) {
	why := "has no direction"
	if s.clients != nil {
		why = "has no addresses"
	}
	messages.Warnf("--split %s: the packet of %s %s: this packet and others like it leave on the first interface", s.text, record.Time(packet.Time), why)
	if s.clients == nil {
		messages.HintWarning("only a pcapng has directions; --split clients needs none")
	}
}

// splitSender sends the packets of each side on its interface, in order.
type splitSender struct{ sides [2]splitSide }

// splitSide is one interface of a splitSender.
type splitSide struct {
	socket        wire.Sender
	frames, bytes atomic.Int64
	undecided     atomic.Int64 // frames of which --split could not tell the interface
}

func newSplitSender(first, second wire.Sender) *splitSender {
	s := &splitSender{}
	s.sides[0].socket, s.sides[1].socket = first, second
	return s
}

// WarmUp implements schedule.Sender.
func (s *splitSender) WarmUp() {
	for i := range s.sides {
		s.sides[i].socket.WarmUp()
	}
}

// Send implements schedule.Sender. Packets of the same side that follow one another are sent
// together.
func (s *splitSender) Send(packets []stream.Packet) (sent int, err error) {
	for sent < len(packets) {
		side, end := sideOf(&packets[sent]), sent+1
		for end < len(packets) && sideOf(&packets[end]) == side {
			end++
		}
		n, err := s.sides[side].send(packets[sent:end])
		sent += n
		if err != nil || sent < end {
			return sent, err
		}
	}
	return sent, nil
}

func (s *splitSide) send(packets []stream.Packet) (sent int, err error) {
	sent, err = s.socket.Send(packets)
	bytes, undecided := 0, 0
	for i := range packets[:sent] {
		bytes += len(packets[i].Data)
		if packets[i].Direction == stream.DirectionUnknown {
			undecided++
		}
	}
	s.undecided.Add(int64(undecided))
	s.frames.Add(int64(sent))
	s.bytes.Add(int64(bytes))
	return sent, err
}

// sent returns what has left.
func (s *splitSide) sent() (frames, bytes int64) { return s.frames.Load(), s.bytes.Load() }

// Flush implements schedule.Sender.
func (s *splitSender) Flush() error {
	return errors.Join(s.sides[0].socket.Flush(), s.sides[1].socket.Flush())
}
