package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pcap-replay/stream"
)

// Receiver receives the frames that arrive on an interface, with the kernel's receive
// timestamps. The kernel writes them to a ring, so nothing disturbs the sender:
// Documentation/networking/packet_mmap.rst.
type Receiver struct {
	socket int
	ring   []byte
	blocks int
	next   int // block

	taken        int // frames
	put, dropped int // frames that the kernel has put into the ring, or had no room for
}

const (
	receiverBlockSize = 1 << 20
	receiverFrameSize = 2048 // not used by TPACKET_V3, but checked
)

// NewReceiver listens on an interface with a ring of size bytes.
func NewReceiver(name string, size int) (*Receiver, error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	r := &Receiver{socket: socket, blocks: max(size/receiverBlockSize, 2)}
	if err := r.setUp(device.Index); err != nil {
		r.Close()
		return nil, fmt.Errorf("receive on %q: %w", name, err)
	}
	return r, nil
}

func (r *Receiver) setUp(index int) error {
	if err := unix.SetsockoptInt(r.socket, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(r.socket, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return err
	}
	request := unix.TpacketReq3{
		Block_size: receiverBlockSize, Block_nr: uint32(r.blocks),
		Frame_size: receiverFrameSize, Frame_nr: uint32(r.blocks) * receiverBlockSize / receiverFrameSize,
		Retire_blk_tov: 100, // milliseconds until the kernel passes on a block that is not full
	}
	if err := unix.SetsockoptTpacketReq3(r.socket, unix.SOL_PACKET, unix.PACKET_RX_RING, &request); err != nil {
		return err
	}
	ring, err := unix.Mmap(r.socket, 0, r.blocks*receiverBlockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return err
	}
	r.ring = ring
	return unix.Bind(r.socket, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index})
}

// Await waits up to limit until the kernel has passed on a frame. Receive returns it.
func (r *Receiver) Await(limit time.Duration) error {
	poll := []unix.PollFd{{Fd: int32(r.socket), Events: unix.POLLIN}}
	for deadline := time.Now().Add(limit); ; {
		n, err := unix.Poll(poll, int(max(time.Until(deadline), 0).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("no frame within %v", limit)
		default:
			return nil
		}
	}
}

// Receive returns the frames that arrived until no frame came for idle and the ring is
// empty. It waits up to first for the first frame. The caller owns the data. If the traffic
// lasts long, it must run meanwhile, because each tenth of a second takes 1 MiB of the
// ring.
func (r *Receiver) Receive(first, idle time.Duration) ([]stream.Packet, error) {
	var packets []stream.Packet
	wait := first
	for {
		block := r.ring[r.next*receiverBlockSize:][:receiverBlockSize]
		header := (*unix.TpacketBlockDesc)(unsafe.Pointer(unsafe.SliceData(block)))
		state := (*unix.TpacketHdrV1)(unsafe.Pointer(&header.Hdr))
		if state.Block_status&unix.TP_STATUS_USER == 0 {
			poll := []unix.PollFd{{Fd: int32(r.socket), Events: unix.POLLIN}}
			n, err := unix.Poll(poll, int(wait.Milliseconds()))
			if err != nil && !errors.Is(err, unix.EINTR) {
				return packets, err
			}
			if n == 0 && err == nil {
				if err := r.askStatistics(); err != nil || r.taken >= r.put {
					return packets, err
				}
				continue // on a busy machine, the kernel passes on a block late
			}
			if poll[0].Revents&unix.POLLERR != 0 { // the interface went down: reading the error clears it
				_, _ = unix.GetsockoptInt(r.socket, unix.SOL_SOCKET, unix.SO_ERROR)
			}
			continue
		}
		packets = appendBlock(packets, block, state)
		r.taken += int(state.Num_pkts)
		state.Block_status = unix.TP_STATUS_KERNEL
		r.next = (r.next + 1) % r.blocks
		if len(packets) > 0 {
			wait = idle
		}
	}
}

// appendBlock copies the frames of a block.
func appendBlock(packets []stream.Packet, block []byte, state *unix.TpacketHdrV1) []stream.Packet {
	offset := state.Offset_to_first_pkt
	for range state.Num_pkts {
		frame := block[offset:]
		header := (*unix.Tpacket3Hdr)(unsafe.Pointer(unsafe.SliceData(frame)))
		data := withTag(frame[header.Mac:uint32(header.Mac)+header.Snaplen], header)
		packets = append(packets, stream.Packet{
			Time: int64(header.Sec)*1e9 + int64(header.Nsec), Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet,
		})
		offset += header.Next_offset
	}
	return packets
}

// withTag copies a frame and restores the VLAN tag that the kernel removed.
func withTag(frame []byte, header *unix.Tpacket3Hdr) []byte {
	if header.Status&unix.TP_STATUS_VLAN_VALID == 0 {
		return append([]byte(nil), frame...)
	}
	protocol := uint16(0x8100) // IEEE 802.1Q
	if header.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		protocol = header.Hv1.Vlan_tpid
	}
	tagged := append([]byte(nil), frame[:12]...)
	tagged = binary.BigEndian.AppendUint16(tagged, protocol)
	tagged = binary.BigEndian.AppendUint16(tagged, uint16(header.Hv1.Vlan_tci))
	return append(tagged, frame[12:]...)
}

// askStatistics adds what the kernel has counted since the last call: packet(7).
func (r *Receiver) askStatistics() error {
	s, err := unix.GetsockoptTpacketStatsV3(r.socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return fmt.Errorf("statistics of a packet socket: %w", err)
	}
	r.put += int(s.Packets - s.Drops)
	r.dropped += int(s.Drops)
	return nil
}

// Dropped is the number of frames that did not fit into the ring.
func (r *Receiver) Dropped() (int, error) {
	err := r.askStatistics()
	return r.dropped, err
}

// Close stops listening.
func (r *Receiver) Close() error {
	if r.ring != nil {
		_ = unix.Munmap(r.ring)
		r.ring = nil
	}
	return unix.Close(r.socket)
}
