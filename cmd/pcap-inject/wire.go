package main

import (
	"errors"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/wire"
)

// wireSink is one interface of this machine, or two with --split. sideOf decides on which one a
// packet leaves.
type wireSink struct {
	ports []*port
	split *splitSender // sends on both, with --split
}

// openWireSink opens the interfaces of -i.
func openWireSink(c *config, messages *tool.Messages) (*wireSink, error) {
	s := &wireSink{}
	for _, name := range c.interfaces {
		p, err := openPort(name, c, messages)
		if err != nil {
			s.close()
			return nil, err
		}
		s.ports = append(s.ports, p)
	}
	if c.split != nil {
		s.split = newSplitSender(s.ports[0].sockets.open[0], s.ports[1].sockets.open[0])
	}
	return s, nil
}

func (s *wireSink) isWire() bool { return true }

func (s *wireSink) senders() []schedule.Sender {
	if s.split != nil {
		return []schedule.Sender{s.split}
	}
	return s.ports[0].sockets.senders()
}

func (s *wireSink) stamps() (all [][]wire.Stamps) {
	for i := range s.ports[0].sockets.stamped {
		var ofSender []wire.Stamps
		for _, p := range s.ports {
			ofSender = append(ofSender, p.sockets.stamped[i])
		}
		all = append(all, ofSender)
	}
	return all
}

func (s *wireSink) egresses(c *config, _ int) (egresses []*egress) {
	for _, p := range s.ports {
		egresses = append(egresses, &egress{name: p.device.Name, fitter: p.fitter(c), allowLonger: p.allowLonger})
	}
	return egresses
}

// refusesFrame is true for a frame that was too long, because the MTU may change during a
// run.
func (s *wireSink) refusesFrame(err error) bool {
	return errors.Is(err, wire.ErrTooLong) || errors.Is(err, frame.ErrTooShort)
}

// describe adds the figures of the interface. With --split, it adds the sums of both interfaces,
// and the figures of each to Interfaces.
func (s *wireSink) describe(summary *record.InjectSummary) {
	for i, p := range s.ports {
		figures := p.figures()
		summary.Retries += figures.Retries
		summary.QueueDropped += figures.QueueDropped
		if s.split == nil {
			summary.Interface, summary.Tx, summary.Device = figures.Interface, figures.Tx, figures.Device
			return
		}
		figures.Frames, figures.Bytes = s.split.sides[i].sent()
		summary.Undecided += s.split.sides[i].undecided.Load()
		summary.Interfaces = append(summary.Interfaces, figures)
	}
}

func (s *wireSink) drain() error { return s.each((*sockets).drain) }

func (s *wireSink) reportDrops(messages *tool.Messages) {
	for _, p := range s.ports {
		if dropped := p.queueDropped(); dropped > 0 {
			messages.Errorf("the queueing discipline of %s dropped %s", p.device.Name, plural.Of(dropped, "frame"))
		}
	}
}

func (s *wireSink) close() error { return s.each((*sockets).close) }

func (s *wireSink) each(do func(*sockets) error) error {
	var errs []error
	for _, p := range s.ports {
		errs = append(errs, do(&p.sockets))
	}
	return errors.Join(errs...)
}
