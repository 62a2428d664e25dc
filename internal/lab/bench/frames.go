package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// makeFrames writes one capture of numbered frames, which tell a receiver what is
// missing.
func makeFrames(arguments []string) error {
	flags := flag.NewFlagSet("frames", flag.ExitOnError)
	count := flags.Int("count", 10000, "how many")
	length := flags.Int("length", 200, "of each, in bytes")
	flows := flags.Int("flows", 1, "they belong to, in turn")
	gaps := flags.String("gaps", "1ms", "between them, in turn, separated by commas")
	poisson := flags.Bool("poisson", false, "draw gaps from an exponential distribution, with -gaps as mean")
	_ = flags.Parse(arguments)
	if flags.NArg() != 1 {
		return fmt.Errorf("wanted one file, got %d", flags.NArg())
	}
	var turn []time.Duration
	for _, text := range strings.Split(*gaps, ",") {
		gap, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		turn = append(turn, gap)
	}
	file, err := os.Create(flags.Arg(0))
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	_, _ = out.Write(lab.Pcap(nil, binary.LittleEndian, true))
	random := rand.New(rand.NewPCG(1, 0))
	now := lab.Start
	for i := range *count {
		frame := lab.Frame(uint16(i%*flows), uint32(i), *length)
		packet := stream.Packet{Time: now, Data: frame, WireLength: uint32(len(frame))}
		if err := writeRecord(out, packet); err != nil {
			return err
		}
		gap := turn[i%len(turn)]
		if *poisson {
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
