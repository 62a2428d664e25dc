package lab

import (
	"archive/tar"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pcap-replay/stream"
)

// WorkerSet is a set of captures as moloch (Arkime) writes it: a load balancer distributes
// the flows of a link to several workers, and each worker writes its packets to files of
// its own, which it rotates when they are full. The workers get different amounts of
// traffic, so their files do not rotate at the same time.
type WorkerSet struct {
	Workers  int
	Packets  int           // of all workers
	Duration time.Duration // of the whole set
	FileSize int           // in bytes, at which a worker rotates; it differs slightly between workers
	Seed     uint64        // the same seed makes the same set
}

// DemoSet is the set of the demo and of the picture in README.md. It is small enough for a
// minute and large enough to rotate.
var DemoSet = WorkerSet{Workers: 8, Packets: 40000, Duration: 8 * time.Second, FileSize: 400 << 10, Seed: 1}

// imix are the frame lengths of the Internet mix and how often they come.
var imix = []struct{ length, weight int }{{60, 7}, {590, 4}, {1514, 1}}

// capturedPacket is a packet with the worker that got it.
type capturedPacket struct {
	stream.Packet
	worker int
}

// packets makes the packets of all workers, sorted by time and then by worker. The gaps are
// exponentially distributed.
func (s WorkerSet) packets() []capturedPacket {
	random := rand.New(rand.NewPCG(s.Seed, 0))
	mean := float64(s.Duration) / float64(s.Packets)
	packets := make([]capturedPacket, s.Packets)
	elapsed := 0.0 // nanoseconds
	for i := range packets {
		flow := uint16(random.IntN(64 * s.Workers))
		data := Frame(flow, uint32(i), imixLength(random.IntN(12)))
		packets[i] = capturedPacket{worker: s.workerOf(flow), Packet: stream.Packet{
			Time: Start + int64(elapsed), Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet,
		}}
		elapsed += random.ExpFloat64() * mean
	}
	slices.SortStableFunc(packets, func(a, b capturedPacket) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.worker, b.worker))
	})
	return packets
}

// workerOf distributes flows unevenly, as a hash does: each worker gets one share more than
// the one before.
func (s WorkerSet) workerOf(flow uint16) (worker int) {
	share := int(flow) % (s.Workers * (s.Workers + 1) / 2)
	for ; share > worker; worker++ {
		share -= worker + 1
	}
	return worker
}

func imixLength(at int) int {
	for _, mix := range imix {
		if at -= mix.weight; at < 0 {
			return mix.length
		}
	}
	return imix[0].length
}

// Merged returns the packets of the set in time order.
func (s WorkerSet) Merged() []stream.Packet {
	captured := s.packets()
	packets := make([]stream.Packet, len(captured))
	for i := range captured {
		packets[i] = captured[i].Packet
	}
	return packets
}

// Write writes the files of the set to a folder and returns their names, sorted by worker
// and time.
func (s WorkerSet) Write(folder string) ([]string, error) {
	shares := make([][]stream.Packet, s.Workers)
	for _, packet := range s.packets() {
		shares[packet.worker] = append(shares[packet.worker], packet.Packet)
	}
	var names []string
	for worker, share := range shares {
		limit := s.FileSize * (16 + worker) / 16
		for number := 0; len(share) > 0; number++ {
			count, size := 0, 24
			for ; count < len(share) && size < limit; count++ {
				size += 16 + len(share[count].Data)
			}
			name := filepath.Join(folder, fmt.Sprintf("worker%d-%04d.pcap", worker, number))
			if err := os.WriteFile(name, Pcap(share[:count], binary.LittleEndian, true), 0o666); err != nil {
				return nil, err
			}
			names, share = append(names, name), share[count:]
		}
	}
	return names, nil
}

// WriteTar writes files to a tarball, with their base names below folder.
func WriteTar(dst io.Writer, folder string, files []string) error {
	files = slices.SortedFunc(slices.Values(files), cmp.Compare[string])
	w := tar.NewWriter(dst)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: folder + "/" + filepath.Base(name), Size: int64(len(data)), Mode: 0o644, ModTime: time.Unix(0, Start)}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return w.Close()
}
