package tunnel

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pcap-replay/internal/lab"
)

// TestFramesOfTheKernelsTunnels sends frames on the tunnel devices that this kernel has, and
// takes them out of the tunnel on the other side.
func TestFramesOfTheKernelsTunnels(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	local, remote := net.IPv4(10, 9, 0, 1), net.IPv4(10, 9, 0, 2)
	left := setAddress(t, "left", local, remote)
	tried := 0
	for _, device := range []struct {
		kind Kind
		link netlink.Link
	}{
		{VXLAN, &netlink.Vxlan{LinkAttrs: named("tunnel"), VxlanId: 7, VtepDevIndex: left.Attrs().Index, SrcAddr: local, Group: remote, Port: portVXLAN}},
		{VXLAN, &netlink.Vxlan{LinkAttrs: named("tunnel"), VxlanId: 7, VtepDevIndex: left.Attrs().Index, SrcAddr: local, Group: remote, Port: portVXLANOld, GBP: true}},
		{GENEVE, &netlink.Geneve{LinkAttrs: named("tunnel"), ID: 7, Remote: remote, Dport: portGENEVE}},
		{TEB, &netlink.Gretap{LinkAttrs: named("tunnel"), Local: local, Remote: remote, IKey: 7, OKey: 7}},
	} {
		if err := netlink.LinkAdd(device.link); errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTSUP) {
			t.Logf("this kernel has no %s", device.link.Type())
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		tried++
		if err := lab.SetUp("tunnel"); err != nil {
			t.Fatal(err)
		}
		receiver, err := lab.NewReceiver("right", 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		var sent [][]byte
		for i := range uint32(200) {
			sent = append(sent, lab.Frame(uint16(i), i, 60+5*int(i)))
		}
		sendFrames(t, "tunnel", sent)
		received, err := receiver.Receive(5*time.Second, 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		receiver.Close()
		d := newDecapsulator(1<<device.kind, 0)
		d.Decap(received)
		matched := 0
		for i := range received {
			if matched < len(sent) && bytes.Equal(received[i].Data, sent[matched]) && int(received[i].WireLength) == len(sent[matched]) {
				matched++
			}
		}
		if matched != len(sent) {
			t.Errorf("%s: %d of %d frames came out of the tunnel; %d were received", device.link.Type(), matched, len(sent), len(received))
		}
		if err := netlink.LinkDel(device.link); err != nil {
			t.Fatal(err)
		}
	}
	if tried == 0 {
		t.Skip("this kernel has no tunnel devices")
	}
}

func named(name string) netlink.LinkAttrs {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	return attributes
}

// setAddress gives an interface an address and a neighbor.
func setAddress(t *testing.T, name string, local, remote net.IP) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: local, Mask: net.CIDRMask(24, 32)}}); err != nil {
		t.Fatal(err)
	}
	if err := netlink.NeighAdd(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: remote, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
	}); err != nil {
		t.Fatal(err)
	}
	return link
}

func sendFrames(t *testing.T, name string, frames [][]byte) {
	t.Helper()
	device, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	for _, frame := range frames {
		if err := unix.Sendto(socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: device.Index}); err != nil {
			t.Fatal(err)
		}
	}
}
