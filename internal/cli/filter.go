package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/filter"
	"pcap-replay/stream"
)

// filterFlags are those of the tools that pass over unwanted packets.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "filter", Usage: "take only packets that match `EXPRESSION`, as pcap-filter(7) has it"},
		&cli.StringFlag{Name: "filter-file", Usage: "the same, from `FILE`: an expression, or a program of tcpdump -ddd"},
	}
}

// packetFilter holds what filterFlags ask for. A nil one wants every packet.
type packetFilter struct {
	flag       string             // as messages name it
	expression *filter.Expression // nil where bytecode is given
	bytecode   *filter.Program
	programs   map[stream.LinkType]*filter.Program
	link       stream.LinkType // of the packet before
	program    *filter.Program // for link; nil before the first packet
	dropped    int64
}

// packetFilter reads filterFlags; it is nil without them.
func (j *job) packetFilter() (*packetFilter, error) {
	expression, file := j.flags.IsSet("filter"), j.flags.IsSet("filter-file")
	switch {
	case expression && file:
		return nil, usageErrorf("--filter and --filter-file: wanted one of them")
	case expression:
		return newPacketFilter("--filter", j.flags.String("filter"))
	case file:
		return openPacketFilter(j.flags.String("filter-file"))
	}
	return nil, nil
}

// programText tells a program of tcpdump -ddd from an expression: its first
// line is a number alone, with which no expression begins a line.
var programText = regexp.MustCompile(`^\s*[0-9]+\s*\n\s*[0-9]`)

func openPacketFilter(name string) (*packetFilter, error) {
	text, err := readFilter(name)
	if err != nil {
		return nil, usageErrorf("--filter-file %w", namedError(name, err))
	}
	flag := "--filter-file " + name
	if !programText.Match(text) {
		return newPacketFilter(flag, string(text))
	}
	program, err := filter.ParseBytecode(bytes.NewReader(text))
	if err != nil {
		return nil, usageErrorf("%s: %w", flag, err)
	}
	return &packetFilter{flag: flag, bytecode: program, programs: map[stream.LinkType]*filter.Program{}}, nil
}

// maxFilterFile is more than an expression or a program may have, in bytes.
const maxFilterFile = 2 << 20

func readFilter(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxFilterFile))
}

func newPacketFilter(flag, text string) (*packetFilter, error) {
	expression, err := filter.Parse(text)
	if err != nil {
		return nil, usageErrorf("%s: %w", flag, err)
	}
	return &packetFilter{flag: flag, expression: expression, programs: map[stream.LinkType]*filter.Program{}}, nil
}

// keep moves the packets that are wanted to the front and gives them, in order.
// It fails on the first packet of a link type that the expression does not fit.
func (f *packetFilter) keep(packets []stream.Packet) ([]stream.Packet, error) {
	if f == nil {
		return packets, nil
	}
	kept := 0
	for i := range packets {
		packet := &packets[i]
		if packet.LinkType != f.link || f.program == nil {
			if err := f.use(packet.LinkType); err != nil {
				return packets[:kept], err
			}
		}
		if !f.program.Match(packet.Data, packet.WireLength) {
			f.dropped++
			continue
		}
		if kept < i {
			packets[kept] = *packet
		}
		kept++
	}
	return packets[:kept], nil
}

// use has the next packets decided as those of a link type.
func (f *packetFilter) use(link stream.LinkType) error {
	program := f.programs[link]
	if program == nil {
		var err error
		if program, err = f.compile(link); err != nil {
			return err
		}
		f.programs[link] = program
	}
	f.link, f.program = link, program
	return nil
}

func (f *packetFilter) compile(link stream.LinkType) (*filter.Program, error) {
	if f.expression != nil {
		program, err := f.expression.Compile(link)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.flag, err)
		}
		return program, nil
	}
	for other := range f.programs {
		return nil, withHint(fmt.Errorf("%s: a program is for one link type, but there are %s and %s", f.flag, other, link),
			"give the expression instead")
	}
	return f.bytecode, nil
}

// rejected is how many packets keep has left out.
func (f *packetFilter) rejected() int64 {
	if f == nil {
		return 0
	}
	return f.dropped
}
