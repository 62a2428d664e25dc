//go:build linux

package main

import (
	"fmt"
	"time"
)

func benchSend(b *bench) {
	b.makeWire()
	for _, length := range []int{60, 1514} {
		// Some 3 s of either.
		part := int64(8)
		if length > 1000 {
			part = 2
		}
		count := b.size / part / int64(length+16) // with the record header
		file := fmt.Sprintf("frames-%d.pcap", length)
		b.make(file, func(name string) error {
			return makeFrames(name, frames{count: int(count), length: length, flows: 512, gaps: []time.Duration{time.Microsecond}})
		})

		c := b.contest(fmt.Sprintf("send: %d bytes, from stdin", length))
		c.ours("packet", "cat "+file+" | pcap-inject --asap --tx packet -i wire0")
		c.ours("xdp", "cat "+file+" | pcap-inject --asap --tx xdp -i wire0")
		c.tcpreplays("cat "+file+" | ", "-t -q -i wire0 -")
		c.want("missing packet|xdp <= 0")
		c.want("kpps packet/tcpreplay >= 1.4")
		c.want("kpps xdp/tcpreplay >= 1.9")
		c.speed(sendingEnd, count)

		c = b.contest(fmt.Sprintf("send: %d bytes, from a file", length))
		c.ours("packet", "pcap-inject --asap --tx packet -i wire0 "+file)
		c.ours("xdp", "pcap-inject --asap --tx xdp -i wire0 "+file)
		c.ours("workers", "pcap-inject --asap --tx xdp --workers 2 -i wire0 "+file)
		c.tcpreplays("", "-t -q -K -i wire0 "+file)
		c.want("missing packet|xdp|workers <= 0")
		c.want("kpps xdp/tcpreplay >= 1.4")
		c.want("kpps workers/tcpreplay >= 2")
		c.speed(sendingEnd, count)
		b.discard(file)
	}
}
