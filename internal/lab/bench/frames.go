//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// frames are those of a capture.
type frames struct {
	count, length int
	flows         int             // that they belong to, in turn
	gaps          []time.Duration // between them, in turn
	poisson       bool            // gaps are the means of exponential distributions
}

// makeFrames writes one capture of numbered frames, which tell a receiver what is
// missing.
func makeFrames(path string, f frames) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	_, _ = out.Write(lab.Pcap(nil, binary.LittleEndian, true))
	random := rand.New(rand.NewPCG(1, 0))
	now := lab.Start
	for i := range f.count {
		frame := lab.Frame(uint16(i%f.flows), uint32(i), f.length)
		packet := stream.Packet{Time: now, Data: frame, WireLength: uint32(len(frame))}
		if err := writeRecord(out, packet); err != nil {
			return err
		}
		gap := f.gaps[i%len(f.gaps)]
		if f.poisson {
			gap = time.Duration(random.ExpFloat64() * float64(gap))
		}
		now += int64(gap)
	}
	return errors.Join(out.Flush(), file.Close())
}

// readFrames reads a capture into memory.
func readFrames(path string) ([]stream.Packet, error) {
	r, err := stream.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var packets []stream.Packet
	for packet, err := range r.Packets() {
		if err != nil {
			return nil, err
		}
		kept := *packet
		kept.Data = append([]byte(nil), packet.Data...)
		packets = append(packets, kept)
	}
	return packets, nil
}
