package main

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// floorCommand stands for a command that sends nothing: a thread that spins until
// each packet's moment and notes when it saw it. What disturbs it disturbs
// everybody.
const floorCommand = "floor"

// gaps measures how exactly commands keep the gaps of a capture, by the kernel's
// receive timestamps on the other end of the wire.
func gaps(arguments []string) error {
	c := contest{figures: []figure{
		{"gap p50 us", "p50", 2}, {"gap p99 us", "p99", 2},
		{"schedule p50 us", "schedule50", 2}, {"schedule p99 us", "schedule99", 2},
		{"drift us", "drift", 1}, {"missing", "missing", 0}, {"cpu %", "cpu", 0},
	}}
	flags := flag.NewFlagSet("gaps", flag.ExitOnError)
	device := flags.String("interface", "", "that receives")
	path := flags.String("source", "", "`capture` that is sent, made by frames")
	beside := flags.Int("beside", 0, "`count` of busy loops that run meanwhile")
	if err := c.arguments(flags, arguments); err != nil {
		return err
	}
	source, err := readFrames(*path)
	if err != nil {
		return err
	}
	if len(source) < 2 {
		return fmt.Errorf("%q: wanted at least 2 packets, got %d", *path, len(source))
	}
	debug.FreeOSMemory()
	c.measure = func(contender contender) ([]float64, error) {
		waitForQuiet(10 * time.Second)
		stop, err := keepBusy(*beside)
		if err != nil {
			return nil, err
		}
		defer stop()
		if contender.command == floorCommand {
			return append(compare(source, spin(source)), 100), nil
		}
		received, u, err := receive(*device, source, contender.command)
		if err != nil {
			return nil, err
		}
		return append(compare(source, received), u.cpu.Seconds()/u.wall.Seconds()*100), nil
	}
	return c.hold()
}

// receive runs a command and gives when each frame of the source arrived, 0 for
// those that did not. The ring is not looked at before the command has ended.
func receive(device string, source []stream.Packet, command string) (arrived []int64, u usage, err error) {
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
	packets, err := receiver.Receive(time.Second, 300*time.Millisecond)
	if err != nil {
		return nil, u, err
	}
	if dropped, err := receiver.Dropped(); err != nil || dropped > 0 {
		return nil, u, fmt.Errorf("the receiver lost %d packets; error: %v", dropped, err)
	}
	arrived = make([]int64, len(source))
	for i := range packets {
		if sequence, ok := lab.Sequence(packets[i].Data); ok && int(sequence) < len(arrived) {
			arrived[sequence] = packets[i].Time
		}
	}
	if len(packets) < 2 {
		return nil, u, fmt.Errorf("%s: wanted %d packets, got %d", command, len(source), len(packets))
	}
	return arrived, u, nil
}

// spin returns when a thread that only reads the clock saw the time of each packet.
func spin(source []stream.Packet) []int64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	seen := make([]int64, len(source))
	start := time.Now().Add(10 * time.Millisecond)
	for i := range source {
		moment := time.Duration(source[i].Time - source[0].Time)
		passed := time.Since(start)
		for passed < moment {
			passed = time.Since(start)
		}
		seen[i] = 1 + int64(passed) // 0 is for missing
	}
	return seen
}

// compare returns the figures of gaps but the last, in microseconds: how far gaps
// are from those of the source; how late packets are after the schedule that the
// most punctual one sets; how much later the last hundred are than the first; and
// how many are missing.
func compare(source []stream.Packet, arrived []int64) []float64 {
	var gaps, schedule []float64
	punctual := int64(math.MaxInt64)
	missing := 0
	for i := range source {
		if arrived[i] == 0 {
			missing++
			continue
		}
		punctual = min(punctual, arrived[i]-source[i].Time)
		if i > 0 && arrived[i-1] != 0 {
			gap := (arrived[i] - arrived[i-1]) - (source[i].Time - source[i-1].Time)
			gaps = append(gaps, math.Abs(float64(gap))/1e3)
		}
	}
	for i := range source {
		if arrived[i] != 0 {
			schedule = append(schedule, float64(arrived[i]-source[i].Time-punctual)/1e3)
		}
	}
	hundred := min(100, len(schedule))
	drift := math.Abs(median(schedule[len(schedule)-hundred:]) - median(schedule[:hundred]))
	return []float64{
		quantile(gaps, 0.5), quantile(gaps, 0.99), quantile(schedule, 0.5), quantile(schedule, 0.99), drift, float64(missing),
	}
}

func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}
