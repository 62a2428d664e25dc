package main

import (
	"errors"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// wireSink is an interface of this machine.
type wireSink struct {
	device  *wire.Interface
	sockets []wire.Sender  // one for each worker
	stamped []*wire.Stamps // of the sockets, with --verify
	tx      string         // packet or xdp
	before  *wire.Counters // nil where the device tells none
}

// openWireSink opens what -i names. All that can be wrong with it is found here.
func openWireSink(c *config) (*wireSink, error) {
	device, err := wire.Lookup(c.interfaceName)
	if errors.Is(err, wire.ErrNoInterface) {
		return nil, tool.UsageErrorf("-i: %w", err)
	}
	if err != nil {
		return nil, err
	}
	switch err := device.Ready(); {
	case errors.Is(err, wire.ErrDown):
		return nil, tool.WithHint(err, "ip link set "+device.Name+" up")
	case err != nil:
		return nil, err
	}
	s := &wireSink{device: device}
	if err := s.openSockets(c); err != nil {
		s.close()
		if errors.Is(err, wire.ErrPermission) {
			return nil, tool.WithHint(err, "run it with sudo, or once: sudo setcap cap_net_raw+ep pcap-inject")
		}
		return nil, err
	}
	if before, err := device.Counters(); err == nil {
		s.before = &before
	}
	return s, nil
}

// openSockets opens one socket for each worker. With --tx auto, AF_XDP is for what
// is to go as fast as it can; it takes a frame later than a packet socket does.
func (s *wireSink) openSockets(c *config) error {
	if c.tx == txXDP || c.tx == txAuto && c.asap {
		err := s.openEach(c.workers, wire.OpenXDP)
		if err == nil {
			s.tx = "xdp"
			return nil
		}
		if c.tx == txXDP {
			return err
		}
	}
	s.tx = "packet"
	return s.openEach(c.workers, func(device *wire.Interface, _ int) (wire.Sender, error) {
		if !c.verify {
			return wire.OpenPacket(device)
		}
		socket, stamps, err := wire.OpenPacketStamped(device)
		if err == nil {
			s.stamped = append(s.stamped, stamps)
		}
		return socket, err
	})
}

func (s *wireSink) openEach(count int, open func(*wire.Interface, int) (wire.Sender, error)) error {
	for worker := range count {
		socket, err := open(s.device, worker)
		if err != nil {
			s.close()
			return err
		}
		s.sockets = append(s.sockets, socket)
	}
	return nil
}

func (s *wireSink) senders() []schedule.Sender {
	senders := make([]schedule.Sender, len(s.sockets))
	for i, socket := range s.sockets {
		senders[i] = socket
	}
	return senders
}

// fitter takes what the interface takes.
func (s *wireSink) fitter(c *config, _ int) *frame.Fitter {
	limits := frame.Limits{Shortest: 1, Longest: s.device.MaxFrame(), Accepts: s.accepts}
	if s.isEthernet() {
		limits.Shortest, limits.Ethernet = frame.EthernetLength, true
	}
	return frame.NewFitter(limits, c.policies)
}

// accepts says why frames of a link type cannot be sent as they are.
func (s *wireSink) accepts(link stream.LinkType) error {
	err := s.device.Accepts(link)
	if err != nil && s.isEthernet() && frame.BecomesEthernet(link) {
		return tool.WithHint(err, "--link ethernet gives such frames an Ethernet header")
	}
	return err
}

func (s *wireSink) isEthernet() bool {
	return s.device.HasLinkType && s.device.LinkType == stream.LinkTypeEthernet
}

// refusesFrame is true for a frame that was too long after all: the MTU may change.
func (s *wireSink) refusesFrame(err error) bool {
	return errors.Is(err, wire.ErrTooLong) || errors.Is(err, frame.ErrTooShort)
}

func (s *wireSink) close() error {
	var errs []error
	for _, socket := range s.sockets {
		errs = append(errs, socket.Close())
	}
	s.sockets = nil
	return errors.Join(errs...)
}

func (s *wireSink) isWire() bool { return true }

func (s *wireSink) stamps() []*wire.Stamps { return s.stamped }

func (s *wireSink) describe(summary *record.InjectSummary) {
	summary.Interface, summary.Tx, summary.Retries, summary.Device = s.device.Name, s.tx, s.retries(), s.counted()
}

// retries is how often the device had no room.
func (s *wireSink) retries() (total uint64) {
	for _, socket := range s.sockets {
		total += socket.Retries()
	}
	return total
}

// counted asks the device; it is nil where it does not tell.
func (s *wireSink) counted() *record.Device {
	after, err := s.device.Counters()
	if s.before == nil || err != nil {
		return nil
	}
	return &record.Device{
		Packets: after.Packets - s.before.Packets, Dropped: after.Dropped - s.before.Dropped, Errors: after.Errors - s.before.Errors,
	}
}
