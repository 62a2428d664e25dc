//go:build linux

package main

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/lab/arrival"
	"pcap-replay/stream"
)

// floorCommand stands for a command that sends nothing: a thread that spins until
// each packet's moment and notes when it saw it. What disturbs it disturbs
// everybody.
const floorCommand = "floor"

// gaps measures how exactly commands keep the gaps of a capture, by the kernel's receive
// timestamps on an interface, the other end of the wire. So many busy loops run meanwhile.
func (c *contest) gaps(device, capture string, beside int) {
	c.figures = []figure{
		{"gap p50 us", "p50", 2}, {"gap p99 us", "p99", 2}, {"gap p99.9 us", "p999", 1}, {"gap max us", "max", 0},
		{"schedule p50 us", "schedule50", 2}, {"schedule p99 us", "schedule99", 2},
		{"drift us", "drift", 1}, {"missing", "missing", 0}, {"cpu %", "cpu", 0},
	}
	var source []stream.Packet
	c.bench.do(func() (err error) {
		source, err = readFrames(capture)
		return err
	})
	c.hold(func(contender contender) ([]float64, error) {
		waitForQuiet(10 * time.Second)
		stop, err := keepBusy(beside)
		if err != nil {
			return nil, err
		}
		defer stop()
		if contender.command == floorCommand {
			values, err := gapFigures(source, spin(source))
			return append(values, 100), err
		}
		received, u, err := receive(device, source, contender.command)
		if err != nil {
			return nil, err
		}
		values, err := gapFigures(source, received)
		return append(values, u.cpu.Seconds()/u.wall.Seconds()*100), err
	})
}

// receive runs a command and gives the frames that arrived. The ring is not looked at before
// the command has ended.
func receive(device string, source []stream.Packet, command string) (packets []stream.Packet, u usage, err error) {
	duration := time.Duration(source[len(source)-1].Time - source[0].Time)
	frames := 0
	for i := range source {
		frames += len(source[i].Data) + 128 // with the kernel's header
	}
	// A MiB goes each tenth of a second, full or not; commands may take longer.
	ring := 2*frames + int(duration/(100*time.Millisecond)+100)<<20
	receiver, err := lab.NewReceiver(device, ring)
	if err != nil {
		return nil, u, err
	}
	defer receiver.Close()
	if u, err = shell(command); err != nil {
		return nil, u, err
	}
	packets, err = receiver.Receive(time.Second, 300*time.Millisecond)
	if err != nil {
		return nil, u, err
	}
	if dropped, err := receiver.Dropped(); err != nil || dropped > 0 {
		return nil, u, fmt.Errorf("the receiver lost %d packets; error: %v", dropped, err)
	}
	return packets, u, nil
}

// spin returns the packets with the times at which a thread that only reads the clock saw
// their moments.
func spin(source []stream.Packet) []stream.Packet {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	seen := slices.Clone(source)
	start := time.Now().Add(10 * time.Millisecond)
	for i := range source {
		moment := time.Duration(source[i].Time - source[0].Time)
		passed := time.Since(start)
		for passed < moment {
			passed = time.Since(start)
		}
		seen[i].Time = int64(passed)
	}
	return seen
}

// gapFigures returns the figures of gaps but the last: those of pcap-map --against, in
// microseconds.
func gapFigures(source, arrived []stream.Packet) ([]float64, error) {
	r, err := arrival.Compare(source, arrived)
	if err != nil {
		return nil, err
	}
	if r.GapError == nil || r.DriftEnd == nil {
		return nil, fmt.Errorf("wanted %d packets, got %d", r.Reference.Packets, r.Capture.Packets)
	}
	const us = 1e6 // in a second
	return []float64{
		r.GapError.P50 * us, r.GapError.P99 * us, r.GapError.P999 * us, r.GapError.Max * us, r.ScheduleError.P50 * us, r.ScheduleError.P99 * us,
		math.Abs(*r.DriftEnd) * us, float64(r.Comparison.Missing),
	}, nil
}
