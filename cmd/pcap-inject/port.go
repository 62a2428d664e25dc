package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"pcap-replay/internal/files"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// port is an interface of this machine.
type port struct {
	device  *wire.Interface
	sockets sockets
	tx      txPolicy       // never txAuto
	before  *wire.Counters // nil if the device has none
	// dropsBefore is the number of frames that the queueing discipline had dropped before
	// the run.
	dropsBefore uint64
	neighbors   *wire.Neighbors // with --link ethernet, if the kernel tells them
}

// hintForName is the hint for a name that no interface has: that with which tcpdump captures on
// all interfaces, and a list.
func hintForName(name string) string {
	if name == "any" {
		return "\"any\" is for capturing: to send, name one interface"
	}
	if first, second, ok := strings.Cut(name, ","); ok {
		return files.QuoteLine([]string{"-i", first, "-i", second}) + " --split EXPRESSION sends on both"
	}
	return ""
}

// permitLine is the command that permits this program to send frames.
func permitLine() string {
	program, err := os.Executable()
	if err != nil {
		program = "pcap-inject"
	}
	return files.QuoteLine([]string{"sudo", "setcap", "cap_net_raw+ep", program})
}

// openPort opens an interface of -i, and finds everything that is wrong with it.
func openPort(name string, c *config, messages *tool.Messages) (*port, error) {
	device, err := wire.Lookup(name)
	if errors.Is(err, wire.ErrNoInterface) {
		return nil, tool.UsageErrorf("-i: %w", err).WithHint(hintForName(name))
	}
	if err != nil {
		return nil, err
	}
	if err := device.Ready(); err != nil {
		return nil, err
	}
	p := &port{device: device}
	err = p.openSockets(c, messages)
	if err == nil && c.verify {
		err = p.sockets.stampFrames()
	}
	if err != nil {
		p.sockets.close()
		if errors.Is(err, wire.ErrPermission) {
			return nil, tool.WithHint(err, "use sudo, or run once: "+permitLine())
		}
		return nil, err
	}
	if before, err := device.Counters(); err == nil {
		p.before = &before
	}
	if c.policies.Link == frame.LinkEthernet {
		if p.neighbors, err = device.Neighbors(); err != nil {
			messages.Warnf("--link ethernet: destination MAC addresses are not those of neighbors: %v", err)
		}
	}
	if p.tx == txPacket {
		if p.dropsBefore, err = device.QueueDrops(); err != nil {
			messages.Warnf("packets that the queueing discipline drops are not counted: %v", err)
		}
	}
	return p, nil
}

// openSockets opens one socket for each worker. With --tx auto, frames bypass the queueing
// discipline only if nobody would notice. AF_XDP sends the most frames per second, but each
// frame later than a packet socket, so auto uses it only with --asap.
func (p *port) openSockets(c *config, messages *tool.Messages) error {
	tx := c.tx
	if tx == txAuto {
		tx = p.chooseTx(c, messages)
	}
	err := p.openEach(c, tx)
	if err != nil && c.tx == txAuto && tx == txXDP {
		messages.Infof("%s: AF_XDP does not work here, so frames bypass the queueing discipline by a packet socket: %v", p.device.Name, err)
		return p.openEach(c, txBypass)
	}
	return err
}

// chooseTx checks who would notice that frames bypass the queueing discipline.
func (p *port) chooseTx(c *config, messages *tool.Messages) txPolicy {
	why, err := p.device.NeedsQueue()
	if err != nil {
		why = err.Error()
	}
	if why != "" {
		messages.Infof("%s: frames go through the queueing discipline: %s", p.device.Name, why)
		return txPacket
	}
	messages.Infof("%s: frames bypass the queueing discipline, because no program captures on the interface", p.device.Name)
	if c.asap {
		return txXDP
	}
	return txBypass
}

// openEach opens a socket of one kind for each worker.
func (p *port) openEach(c *config, tx txPolicy) error {
	p.tx = tx
	for worker := range c.workers {
		socket, err := p.openSocket(worker, c.verify)
		if err != nil {
			p.sockets.close()
			return err
		}
		p.sockets.open = append(p.sockets.open, socket)
	}
	return nil
}

func (p *port) openSocket(worker int, stamped bool) (wire.Sender, error) {
	switch p.tx {
	case txXDP:
		return wire.OpenXDP(p.device, worker, stamped)
	case txBypass:
		return wire.OpenBypass(p.device)
	}
	return wire.OpenPacket(p.device)
}

// fitter accepts the frames that the interface accepts.
func (p *port) fitter(c *config) *frame.Fitter {
	limits := frame.Limits{Shortest: 1, Longest: p.device.MaxFrame(), Accepts: p.accepts}
	if p.isEthernet() {
		limits.Shortest, limits.Ethernet = frame.EthernetLength, true
	}
	if p.neighbors != nil {
		limits.Neighbor = p.neighbors.MAC
	}
	return frame.NewFitter(limits, c.policies)
}

// accepts returns the reason why frames of a link type cannot be sent as they are.
func (p *port) accepts(link stream.LinkType) error {
	err := p.device.Accepts(link)
	if err != nil && p.isEthernet() && frame.BecomesEthernet(link) {
		return tool.WithHint(err, "--link ethernet gives such frames an Ethernet header")
	}
	return err
}

// maxMTU is the largest MTU that Linux accepts for a virtual device: the longest IPv4
// packet.
const maxMTU = 65535

// allowLonger names the command after which frames of a length can be sent, or returns "" if
// there is none.
func (p *port) allowLonger(length int) string {
	mtu := p.device.MTU + length - p.device.MaxFrame()
	if mtu > maxMTU {
		return ""
	}
	return fmt.Sprintf("allow such frames, also at the other end of a veth pair: ip link set %s mtu %d", p.device.Name, mtu)
}

func (p *port) isEthernet() bool {
	return p.device.HasLinkType && p.device.LinkType == stream.LinkTypeEthernet
}

// figures are those of the interface for the summary.
func (p *port) figures() record.InterfaceSummary {
	return record.InterfaceSummary{
		Interface: p.device.Name, Tx: txWords[p.tx], Retries: p.sockets.retried(), QueueDropped: p.queueDropped(), Device: p.counted(),
	}
}

// queueDropped is the number of frames that the queueing discipline has dropped since the
// run began. Without a carrier, the kernel counts its drops as those of the device. A full
// queue also counts the frames that it refuses, which are sent again.
func (p *port) queueDropped() int64 {
	if p.tx != txPacket {
		return 0
	}
	dropped := uint64(0)
	if after, err := p.device.QueueDrops(); err == nil {
		dropped = after - p.dropsBefore
	}
	if device := p.counted(); device != nil {
		dropped += device.Dropped
	}
	return max(int64(dropped)-int64(p.sockets.retried()), 0)
}

// counted returns the counters of the device during the run, or nil if it has none.
func (p *port) counted() *record.Device {
	after, err := p.device.Counters()
	if p.before == nil || err != nil {
		return nil
	}
	return &record.Device{
		Packets: after.Packets - p.before.Packets, Dropped: after.Dropped - p.before.Dropped, Errors: after.Errors - p.before.Errors,
	}
}
