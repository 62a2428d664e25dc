package cli

import (
	"errors"

	"pcap-replay/internal/schedule"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// wireWay is an interface of this machine.
type wireWay struct {
	device *wire.Interface
	sender wire.Sender
	before *wire.Counters // nil where the device tells none
}

// openWireWay opens what -i names. All that can be wrong with it is found here.
func openWireWay(name string) (*wireWay, error) {
	device, err := wire.Lookup(name)
	if errors.Is(err, wire.ErrNoInterface) {
		return nil, usageErrorf("-i: %w", err)
	}
	if err != nil {
		return nil, err
	}
	switch err := device.Ready(); {
	case errors.Is(err, wire.ErrDown):
		return nil, withHint(err, "ip link set "+name+" up")
	case err != nil:
		return nil, err
	}
	sender, err := wire.OpenPacket(device)
	if errors.Is(err, wire.ErrPermission) {
		return nil, withHint(err, "run it with sudo, or once: sudo setcap cap_net_raw+ep pcap-inject")
	}
	if err != nil {
		return nil, err
	}
	w := &wireWay{device: device, sender: sender}
	if before, err := device.Counters(); err == nil {
		w.before = &before
	}
	return w, nil
}

func (w *wireWay) senders() []schedule.Sender { return []schedule.Sender{w.sender} }

// framer says what the interface takes. A VLAN tag may make a frame longer.
func (w *wireWay) framer(c *injectConfig, _ int) *framer {
	ethernet := w.device.LinkType == stream.LinkTypeEthernet
	f := &framer{accepts: w.device.Accepts, oversize: c.oversize, short: c.short, minimum: 1}
	if ethernet {
		f.minimum = 14
	}
	f.maximum = func(frame []byte) int {
		if ethernet && isTagged(frame) {
			return w.device.MaxFrame() + 4
		}
		return w.device.MaxFrame()
	}
	return f
}

// isTagged says whether an Ethernet frame has a VLAN tag: IEEE 802.1Q.
func isTagged(frame []byte) bool {
	return len(frame) >= 14 && frame[12] == 0x81 && frame[13] == 0x00
}

// passesOver is true for a frame that was too long after all: the MTU may change.
func (w *wireWay) passesOver(err error) bool {
	return errors.Is(err, wire.ErrTooLong) || errors.Is(err, wire.ErrTooShort)
}

func (w *wireWay) close() error { return w.sender.Close() }

// deviceRecord is what the device has counted during the run, of all that sent.
type deviceRecord struct {
	Packets uint64 `json:"tx_packets"`
	Dropped uint64 `json:"tx_dropped"`
	Errors  uint64 `json:"tx_errors"`
}

// counted asks the device; it is nil where it does not tell.
func (w *wireWay) counted() *deviceRecord {
	after, err := w.device.Counters()
	if w.before == nil || err != nil {
		return nil
	}
	return &deviceRecord{
		Packets: after.Packets - w.before.Packets, Dropped: after.Dropped - w.before.Dropped, Errors: after.Errors - w.before.Errors,
	}
}
