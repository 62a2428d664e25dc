package wire

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// packetSockets lists the packet sockets of the calling thread's network namespace:
// packet_seq_show in net/packet/af_packet.c. /proc/net/packet would show those of the
// process's first thread.
const packetSockets = "/proc/thread-self/net/packet"

// NeedsQueue returns why frames should go through the queueing discipline of the interface:
// a program captures on it, or its queueing discipline was configured. It returns "" if
// nothing would notice that frames bypass it.
func (i *Interface) NeedsQueue() (why string, err error) {
	isCaptured, err := i.isCaptured()
	if err != nil {
		return "", err
	}
	if isCaptured {
		return "a program captures on it", nil
	}
	disciplines, err := i.disciplines()
	if err != nil {
		return "", err
	}
	for _, discipline := range disciplines {
		// The kernel gives handle 0 to a queueing discipline that nobody configured:
		// attach_one_default_qdisc in net/sched/sch_generic.c.
		if discipline.Attrs().Handle != 0 && discipline.Type() != "ingress" {
			return "its queueing discipline is " + discipline.Type(), nil
		}
	}
	return "", nil
}

// isCaptured reports whether a packet socket receives what the interface sends. Only
// sockets for all protocols do: dev_queue_xmit_nit in net/core/dev.c.
func (i *Interface) isCaptured() (bool, error) {
	file, err := os.Open(packetSockets)
	if err != nil {
		return false, fmt.Errorf("look for programs that capture: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Scan() // the column names
	for lines.Scan() {
		socket, err := parsePacketSocket(lines.Text())
		if err != nil {
			return false, fmt.Errorf("%s: %w", packetSockets, err)
		}
		isBound := socket.index == 0 || socket.index == i.Index // 0 is all interfaces
		if isBound && socket.protocol == unix.ETH_P_ALL && socket.isRunning {
			return true, nil
		}
	}
	return false, lines.Err()
}

// packetSocket is a line of packetSockets.
type packetSocket struct {
	protocol  uint64
	index     int
	isRunning bool
}

// parsePacketSocket reads the columns sk, RefCnt, Type, Proto (hexadecimal), Iface and R.
func parsePacketSocket(line string) (s packetSocket, err error) {
	columns := strings.Fields(line)
	if len(columns) < 6 {
		return s, fmt.Errorf("packet socket %q: wanted 6 columns, got %d", line, len(columns))
	}
	if s.protocol, err = strconv.ParseUint(columns[3], 16, 16); err != nil {
		return s, fmt.Errorf("packet socket %q: protocol: %w", line, err)
	}
	if s.index, err = strconv.Atoi(columns[4]); err != nil {
		return s, fmt.Errorf("packet socket %q: interface: %w", line, err)
	}
	s.isRunning = columns[5] == "1"
	return s, nil
}

func (i *Interface) disciplines() ([]netlink.Qdisc, error) {
	disciplines, err := netlink.QdiscList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: i.Name, Index: i.Index}})
	if err != nil {
		return nil, fmt.Errorf("interface %q: queueing discipline: %w", i.Name, err)
	}
	return disciplines, nil
}

// QueueDrops is the number of frames that the queueing disciplines of the interface have
// dropped since they were created, including frames of other programs. A parent counts
// most, but not all, of the drops of its children, so the larger of both sums is the better
// count.
func (i *Interface) QueueDrops() (uint64, error) {
	disciplines, err := i.disciplines()
	if err != nil {
		return 0, err
	}
	var root, children uint64
	for _, discipline := range disciplines {
		attributes := discipline.Attrs()
		switch {
		case attributes.Statistics == nil || attributes.Statistics.Queue == nil:
		case attributes.Parent == netlink.HANDLE_ROOT:
			root += uint64(attributes.Statistics.Queue.Drops)
		case attributes.Parent != netlink.HANDLE_INGRESS: // of received frames
			children += uint64(attributes.Statistics.Queue.Drops)
		}
	}
	return max(root, children), nil
}

const (
	// drainPoll is the interval at which drain checks the queue. A queue that drains slowly
	// lasts far longer.
	drainPoll = time.Millisecond
	// drainPatience is how long a queue may make no progress at the end of a run. The
	// kernel resets a transmit queue that makes no progress for 5 s: dev_watchdog in
	// net/sched/sch_generic.c.
	drainPatience = 5 * time.Second
)

// drain waits until the frames of a socket have left the queueing discipline. It gives up
// after drainPatience without progress, and leaves the frames to the kernel.
func drain(socket int) error {
	left, moved := -1, time.Now()
	for {
		queued, err := unix.IoctlGetInt(socket, unix.SIOCOUTQ) // bytes: packet_ioctl, udp_ioctl
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("bytes in the queue: %w", err)
		}
		if queued == 0 {
			return nil
		}
		if queued != left {
			left, moved = queued, time.Now()
		}
		if time.Since(moved) > drainPatience {
			return nil
		}
		time.Sleep(drainPoll)
	}
}
