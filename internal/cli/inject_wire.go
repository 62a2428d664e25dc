package cli

import (
	"errors"

	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/wire"
)

// What --tx may be, the default first.
var txPolicies = []string{"auto", "packet", "xdp"}

// wireWay is an interface of this machine.
type wireWay struct {
	device  *wire.Interface
	sockets []wire.Sender  // one for each worker
	stamps  []*wire.Stamps // of the sockets, with --verify
	tx      string         // packet or xdp
	before  *wire.Counters // nil where the device tells none
}

// openWireWay opens what -i names. All that can be wrong with it is found here.
func openWireWay(c *injectConfig) (*wireWay, error) {
	device, err := wire.Lookup(c.interfaceName)
	if errors.Is(err, wire.ErrNoInterface) {
		return nil, usageErrorf("-i: %w", err)
	}
	if err != nil {
		return nil, err
	}
	switch err := device.Ready(); {
	case errors.Is(err, wire.ErrDown):
		return nil, withHint(err, "ip link set "+device.Name+" up")
	case err != nil:
		return nil, err
	}
	w := &wireWay{device: device}
	if err := w.openSockets(c); err != nil {
		w.close()
		if errors.Is(err, wire.ErrPermission) {
			return nil, withHint(err, "run it with sudo, or once: sudo setcap cap_net_raw+ep pcap-inject")
		}
		return nil, err
	}
	if before, err := device.Counters(); err == nil {
		w.before = &before
	}
	return w, nil
}

// openSockets opens one socket for each worker. With --tx auto, AF_XDP is for what
// is to go as fast as it can; it takes a frame later than a packet socket does.
func (w *wireWay) openSockets(c *injectConfig) error {
	if c.tx == "xdp" || c.tx == "auto" && c.asap {
		err := w.openEach(c.workers, wire.OpenXDP)
		if err == nil {
			w.tx = "xdp"
			return nil
		}
		if c.tx == "xdp" {
			return err
		}
	}
	w.tx = "packet"
	return w.openEach(c.workers, func(device *wire.Interface, _ int) (wire.Sender, error) {
		if !c.verify {
			return wire.OpenPacket(device)
		}
		socket, stamps, err := wire.OpenPacketStamped(device)
		if err == nil {
			w.stamps = append(w.stamps, stamps)
		}
		return socket, err
	})
}

func (w *wireWay) openEach(count int, open func(*wire.Interface, int) (wire.Sender, error)) error {
	for worker := range count {
		socket, err := open(w.device, worker)
		if err != nil {
			w.close()
			return err
		}
		w.sockets = append(w.sockets, socket)
	}
	return nil
}

func (w *wireWay) senders() []schedule.Sender {
	senders := make([]schedule.Sender, len(w.sockets))
	for i, socket := range w.sockets {
		senders[i] = socket
	}
	return senders
}

func (w *wireWay) framer(c *injectConfig, _ int) *framer { return newWireFramer(w.device, c) }

// passesOver is true for a frame that was too long after all: the MTU may change.
func (w *wireWay) passesOver(err error) bool {
	return errors.Is(err, wire.ErrTooLong) || errors.Is(err, wire.ErrTooShort)
}

func (w *wireWay) close() error {
	var errs []error
	for _, socket := range w.sockets {
		errs = append(errs, socket.Close())
	}
	w.sockets = nil
	return errors.Join(errs...)
}

// retries is how often the device had no room.
func (w *wireWay) retries() (total uint64) {
	for _, socket := range w.sockets {
		total += socket.Retries()
	}
	return total
}

// counted asks the device; it is nil where it does not tell.
func (w *wireWay) counted() *record.Device {
	after, err := w.device.Counters()
	if w.before == nil || err != nil {
		return nil
	}
	return &record.Device{
		Packets: after.Packets - w.before.Packets, Dropped: after.Dropped - w.before.Dropped, Errors: after.Errors - w.before.Errors,
	}
}
