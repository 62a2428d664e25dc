package filter

import (
	"fmt"
	"regexp"
	"strings"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// Packets selects packets of any link types by one expression, or packets of one link type
// by a program of tcpdump -ddd. A nil Packets selects every packet. It is not safe for
// concurrent use.
type Packets struct {
	name       string      // in errors
	expression *Expression // nil if bytecode is given
	bytecode   *Program
	programs   map[stream.LinkType]*Program
	link       stream.LinkType // of the packet before
	program    *Program        // for link; nil before the first packet
	rejected   int64
	isTagged   bool // the first packet that was rejected has a VLAN tag
}

// programText matches a program of tcpdump -ddd, and no expression: its first line is only
// a number.
var programText = regexp.MustCompile(`^\s*[0-9]+\s*\n\s*[0-9]`)

// NewPackets parses an expression or a program. Errors begin with name.
func NewPackets(name, text string) (*Packets, error) {
	p := &Packets{name: name, programs: map[stream.LinkType]*Program{}}
	var err error
	if programText.MatchString(text) {
		p.bytecode, err = ParseBytecode(strings.NewReader(text))
	} else {
		p.expression, err = Parse(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// Keep moves the packets that match to the front and returns them in order. It fails at the
// first packet whose link type the expression does not support, and then returns the
// matches before it.
func (p *Packets) Keep(packets []stream.Packet) ([]stream.Packet, error) {
	if p == nil {
		return packets, nil
	}
	kept := 0
	for i := range packets {
		matches, err := p.Match(&packets[i])
		if err != nil {
			return packets[:kept], err
		}
		if !matches {
			if p.rejected++; p.rejected == 1 {
				p.isTagged = frame.HasVLANTag(&packets[i])
			}
			continue
		}
		if kept < i {
			packets[kept] = packets[i]
		}
		kept++
	}
	return packets[:kept], nil
}

// Match reports whether a packet matches. It fails if the expression does not support the
// link type.
func (p *Packets) Match(packet *stream.Packet) (bool, error) {
	if packet.LinkType != p.link || p.program == nil {
		if err := p.use(packet.LinkType); err != nil {
			return false, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return p.program.Match(packet.Data, packet.WireLength), nil
}

// use compiles the expression for the link type of the next packets.
func (p *Packets) use(link stream.LinkType) error {
	program := p.programs[link]
	if program == nil {
		var err error
		if program, err = p.compile(link); err != nil {
			return err
		}
		p.programs[link] = program
	}
	p.link, p.program = link, program
	return nil
}

func (p *Packets) compile(link stream.LinkType) (*Program, error) {
	if p.expression != nil {
		return p.expression.Compile(link)
	}
	for other := range p.programs {
		return nil, &ProgramLinkTypeError{other, link}
	}
	return p.bytecode, nil
}

// Rejected is the number of packets that Keep has left out.
func (p *Packets) Rejected() int64 {
	if p == nil {
		return 0
	}
	return p.rejected
}

// Hint says why the expression may have rejected every packet. It may be "".
func (p *Packets) Hint() string {
	if p == nil || !p.isTagged || p.expression == nil || p.expression.hasVLAN {
		return ""
	}
	return "the packets have VLAN tags, and \"vlan and (EXPRESSION)\" matches such packets"
}

// ProgramLinkTypeError means that a program received packets of a second link type.
type ProgramLinkTypeError struct{ First, Other stream.LinkType }

func (e *ProgramLinkTypeError) Error() string {
	return fmt.Sprintf("a program works with one link type, but there are %s and %s", e.First, e.Other)
}

// Hint says what to do next.
func (e *ProgramLinkTypeError) Hint() string { return "give the expression instead" }
