package main

import (
	"errors"
	"fmt"

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
	tx      txPolicy       // never txAuto
	before  *wire.Counters // nil if the device has none
	// dropsBefore is the number of frames that the queueing discipline had dropped before
	// the run.
	dropsBefore uint64
	retries     uint64 // of the sockets that are closed
}

// openWireSink opens the interface of -i, and finds everything that is wrong with it.
func openWireSink(c *config, messages *tool.Messages) (*wireSink, error) {
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
	case errors.Is(err, wire.ErrNoCarrier):
		return nil, tool.WithHint(err, hintCarrier(device))
	case err != nil:
		return nil, err
	}
	s := &wireSink{device: device}
	err = s.openSockets(c, messages)
	if err == nil && c.verify {
		err = s.stampFrames()
	}
	if err != nil {
		s.close()
		if errors.Is(err, wire.ErrPermission) {
			return nil, tool.WithHint(err, "use sudo, or run once: sudo setcap cap_net_raw+ep pcap-inject")
		}
		return nil, err
	}
	if before, err := device.Counters(); err == nil {
		s.before = &before
	}
	if s.tx == txPacket {
		if s.dropsBefore, err = device.QueueDrops(); err != nil {
			messages.Warnf("what the queueing discipline drops is not counted: %v", err)
		}
	}
	return s, nil
}

// hintCarrier says how to get a carrier.
func hintCarrier(device *wire.Interface) string {
	if peer := device.Peer(); peer != "" {
		return "the other end is down: ip link set " + peer + " up"
	}
	return "the other end is down, or no cable is connected: ip link set PEER up at the other end"
}

// openSockets opens one socket for each worker. With --tx auto, frames bypass the queueing
// discipline only if nobody would notice. AF_XDP sends the most frames per second, but each
// frame later than a packet socket, so auto uses it only with --asap.
func (s *wireSink) openSockets(c *config, messages *tool.Messages) error {
	tx := c.tx
	if tx == txAuto {
		tx = s.chooseTx(c, messages)
	}
	err := s.openEach(c.workers, tx)
	if err != nil && c.tx == txAuto && tx == txXDP {
		messages.Infof("%s: AF_XDP does not work here, so frames bypass the queueing discipline by a packet socket: %v", s.device.Name, err)
		return s.openEach(c.workers, txBypass)
	}
	return err
}

// chooseTx checks who would notice that frames bypass the queueing discipline.
func (s *wireSink) chooseTx(c *config, messages *tool.Messages) txPolicy {
	why, err := s.device.NeedsQueue()
	if err != nil {
		why = err.Error()
	}
	if why != "" {
		messages.Infof("%s: frames go through the queueing discipline: %s", s.device.Name, why)
		return txPacket
	}
	messages.Infof("%s: frames bypass the queueing discipline, because no program captures on the interface", s.device.Name)
	if c.asap && !c.verify {
		return txXDP
	}
	return txBypass
}

// openEach opens count sockets of one kind.
func (s *wireSink) openEach(count int, tx txPolicy) error {
	s.tx = tx
	for worker := range count {
		socket, err := s.openSocket(worker)
		if err != nil {
			s.close()
			return err
		}
		s.sockets = append(s.sockets, socket)
	}
	return nil
}

func (s *wireSink) openSocket(worker int) (wire.Sender, error) {
	switch s.tx {
	case txXDP:
		return wire.OpenXDP(s.device, worker)
	case txBypass:
		return wire.OpenBypass(s.device)
	}
	return wire.OpenPacket(s.device)
}

// stampFrames makes the kernel timestamp the frames of all sockets.
func (s *wireSink) stampFrames() error {
	for _, socket := range s.sockets {
		stamps, err := wire.StampFrames(socket)
		if err != nil {
			return err
		}
		s.stamped = append(s.stamped, stamps)
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

// fitter accepts the frames that the interface accepts.
func (s *wireSink) fitter(c *config, _ int) *frame.Fitter {
	limits := frame.Limits{Shortest: 1, Longest: s.device.MaxFrame(), Accepts: s.accepts}
	if s.isEthernet() {
		limits.Shortest, limits.Ethernet = frame.EthernetLength, true
	}
	return frame.NewFitter(limits, c.policies)
}

// accepts returns the reason why frames of a link type cannot be sent as they are.
func (s *wireSink) accepts(link stream.LinkType) error {
	err := s.device.Accepts(link)
	if err != nil && s.isEthernet() && frame.BecomesEthernet(link) {
		return tool.WithHint(err, "--link ethernet gives such frames an Ethernet header")
	}
	return err
}

// maxMTU is the largest MTU that Linux accepts for a virtual device: the longest IPv4
// packet.
const maxMTU = 65535

// hintSkipped names the flag and the command by which long frames are sent.
func (s *wireSink) hintSkipped(packet *stream.Packet, reason frame.SkipReason) string {
	if reason != frame.SkippedOversize {
		return ""
	}
	hint := "--oversize segment cuts TCP packets as network cards do"
	mtu := s.device.MTU + max(len(packet.Data), int(packet.WireLength)) - s.device.MaxFrame()
	if mtu <= maxMTU {
		hint += fmt.Sprintf("; or allow such frames, also at the other end of a veth pair: ip link set %s mtu %d", s.device.Name, mtu)
	}
	return hint
}

func (s *wireSink) isEthernet() bool {
	return s.device.HasLinkType && s.device.LinkType == stream.LinkTypeEthernet
}

// refusesFrame is true for a frame that was too long, because the MTU may change during a
// run.
func (s *wireSink) refusesFrame(err error) bool {
	return errors.Is(err, wire.ErrTooLong) || errors.Is(err, frame.ErrTooShort)
}

// drain returns when all frames have left the queueing discipline.
func (s *wireSink) drain() error {
	var errs []error
	for _, socket := range s.sockets {
		errs = append(errs, socket.Drain())
	}
	return errors.Join(errs...)
}

func (s *wireSink) close() error {
	var errs []error
	for _, socket := range s.sockets {
		s.retries += socket.Retries()
		errs = append(errs, socket.Close())
	}
	s.sockets = nil
	return errors.Join(errs...)
}

func (s *wireSink) isWire() bool { return true }

func (s *wireSink) stamps() []*wire.Stamps { return s.stamped }

func (s *wireSink) describe(summary *record.InjectSummary) {
	summary.Interface, summary.Tx, summary.Retries, summary.Device = s.device.Name, txWords[s.tx], s.retried(), s.counted()
	summary.QueueDropped = s.queueDropped()
}

// retried is the number of times that the device had no room.
func (s *wireSink) retried() uint64 {
	total := s.retries
	for _, socket := range s.sockets {
		total += socket.Retries()
	}
	return total
}

// queueDropped is the number of frames that the queueing discipline has dropped since the
// run began. Without a carrier, the kernel counts its drops as those of the device. A full
// queue also counts the frames that it refuses, which are sent again.
func (s *wireSink) queueDropped() int64 {
	if s.tx != txPacket {
		return 0
	}
	dropped := uint64(0)
	if after, err := s.device.QueueDrops(); err == nil {
		dropped = after - s.dropsBefore
	}
	if device := s.counted(); device != nil {
		dropped += device.Dropped
	}
	return max(int64(dropped)-int64(s.retried()), 0)
}

// counted returns the counters of the device during the run, or nil if it has none.
func (s *wireSink) counted() *record.Device {
	after, err := s.device.Counters()
	if s.before == nil || err != nil {
		return nil
	}
	return &record.Device{
		Packets: after.Packets - s.before.Packets, Dropped: after.Dropped - s.before.Dropped, Errors: after.Errors - s.before.Errors,
	}
}
