//go:build linux

package main

// race measures how long commands take, and what they need for it. packets is what they work
// on, to show the rate; 0: it is not shown.
func (c *contest) race(packets int64) {
	c.figures = []figure{{"time s", "time", 4}, {"cpu s", "cpu", 3}, {"peak MiB", "peak", 0}}
	if packets > 0 {
		c.figures = append(c.figures, figure{"ns/packet", "ns_per_packet", 1}, figure{"Mpacket/s", "mpps", 2})
	}
	c.hold(func(contender contender) ([]float64, error) {
		u, err := shell(contender.command)
		seconds, count := u.wall.Seconds(), float64(packets)
		values := []float64{seconds, u.cpu.Seconds(), float64(u.peak) / (1 << 20), seconds * 1e9 / count, count / seconds / 1e6}
		return values[:len(c.figures)], err
	})
}
