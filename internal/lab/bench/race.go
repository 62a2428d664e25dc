package main

import "flag"

// race measures how long commands take, and what they need for it.
func race(arguments []string) error {
	c := contest{figures: []figure{
		{"time s", "time", 4}, {"cpu s", "cpu", 3}, {"peak MiB", "peak", 0},
	}}
	flags := flag.NewFlagSet("race", flag.ExitOnError)
	packets := flags.Float64("packets", 0, "`count` of what the commands work on, to show the rate")
	if err := c.arguments(flags, arguments); err != nil {
		return err
	}
	if *packets > 0 {
		c.figures = append(c.figures, figure{"ns/packet", "ns_per_packet", 1}, figure{"Mpacket/s", "mpps", 2})
	}
	c.measure = func(contender contender) ([]float64, error) {
		u, err := shell(contender.command)
		seconds := u.wall.Seconds()
		values := []float64{seconds, u.cpu.Seconds(), float64(u.peak) / (1 << 20), seconds * 1e9 / *packets, *packets / seconds / 1e6}
		return values[:len(c.figures)], err
	}
	return c.hold()
}
