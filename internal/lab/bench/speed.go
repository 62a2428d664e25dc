//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

// speed measures how fast commands send on an interface, by its counters: from
// its first packet to its last, so that starting up and loading do not count; the
// time is that of the whole command. packets is what each should send.
func (c *contest) speed(device string, packets int64) {
	c.figures = []figure{
		{"kpacket/s", "kpps", 0}, {"Mbit/s", "mbps", 0}, {"time s", "time", 3}, {"cpu %", "cpu", 0}, {"missing", "missing", 0},
	}
	c.hold(func(contender contender) ([]float64, error) {
		before, err := readCounters(device)
		if err != nil {
			return nil, err
		}
		done := make(chan transfer)
		stop := make(chan struct{})
		go func() { done <- watch(device, before, stop) }()
		u, err := shell(contender.command)
		close(stop)
		t := <-done
		if err != nil {
			return nil, err
		}
		if t.packets == 0 {
			return nil, fmt.Errorf("%s: nothing left %s", contender.command, device)
		}
		seconds := t.last.Sub(t.first).Seconds()
		return []float64{
			float64(t.packets) / seconds / 1e3, float64(t.bytes) * 8 / seconds / 1e6,
			u.wall.Seconds(), u.cpu.Seconds() / u.wall.Seconds() * 100, float64(packets - t.packets),
		}, nil
	})
}

// transfer is what an interface has sent, and when.
type transfer struct {
	counters
	first, last time.Time
}

// counters are those of the sending side of an interface.
type counters struct{ packets, bytes int64 }

// watch looks at the counters of an interface every other millisecond until stop
// is closed, and once more.
func watch(device string, before counters, stop <-chan struct{}) (t transfer) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	quiet := time.Now()
	for stopped := false; !stopped; {
		select {
		case <-ticker.C:
		case <-stop:
			stopped = true
		}
		now := time.Now()
		seen, err := readCounters(device)
		if err != nil {
			return t
		}
		sent := counters{seen.packets - before.packets, seen.bytes - before.bytes}
		if sent == t.counters {
			if t.first.IsZero() {
				quiet = now
			}
			continue
		}
		if t.first.IsZero() {
			t.first = quiet
		}
		t.counters, t.last = sent, now
	}
	return t
}

// readCounters reads /proc/net/dev, which is of the namespace of the reader.
func readCounters(device string) (c counters, err error) {
	file, err := os.Open("/proc/self/net/dev")
	if err != nil {
		return c, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, numbers, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(name) != device {
			continue
		}
		var received [8]int64
		_, err := fmt.Sscan(numbers, &received[0], &received[1], &received[2], &received[3],
			&received[4], &received[5], &received[6], &received[7], &c.bytes, &c.packets)
		return c, err
	}
	return c, fmt.Errorf("no interface %q", device)
}
