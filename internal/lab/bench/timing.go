//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

func benchTiming(b *bench) {
	b.makeWire()
	const us, ms = time.Microsecond, time.Millisecond
	mix := []time.Duration{5 * us, ms, 20 * us, 3 * ms, 100 * us, 10 * us}
	for name, f := range map[string]frames{
		"gaps-100us.pcap":   {count: 20000, gaps: []time.Duration{100 * us}},
		"gaps-1ms.pcap":     {count: 2000, gaps: []time.Duration{ms}},
		"gaps-mix.pcap":     {count: 3000, gaps: mix},
		"gaps-poisson.pcap": {count: 40000, gaps: []time.Duration{50 * us}, poisson: true},
	} {
		f.length, f.flows = 200, 1
		b.make(name, func(name string) error { return makeFrames(name, f) })
	}

	b.contestOfTiming("timing: gaps of 100 us", "gaps-100us.pcap", "0.15")
	b.contestOfTiming("timing: gaps of 1 ms", "gaps-1ms.pcap", "0.15", "cpu pcap-inject <= 45")
	b.contestOfTiming("timing: gaps of 5 us to 3 ms", "gaps-mix.pcap", "0.3")
	b.contestOfTiming("timing: Poisson, 50 us on average", "gaps-poisson.pcap", "0.3")

	c := b.contest("timing: two busy loops beside it, gaps of 5 us to 3 ms")
	c.ours("realtime", "pcap-inject --realtime -i wire0 gaps-mix.pcap")
	c.tcpreplays("", "-q -K -i wire0 gaps-mix.pcap")
	c.ours("floor", floorCommand)
	c.want("p99 realtime/tcpreplay <= 0.05")
	c.want("max realtime <= 5000")
	c.gaps(receivingEnd, "gaps-mix.pcap", 2)

	c = b.contest("timing: where the stream comes from, gaps of 5 us to 3 ms")
	c.ours("file", "pcap-inject -i wire0 gaps-mix.pcap")
	c.ours("pipe", "pcap-merge gaps-mix.pcap | pcap-pace | pcap-inject -i wire0")
	c.want("p99 pipe/file <= 1.5")
	if ssh, err := b.startServer(); err == nil {
		c.ours("ssh", "pcap-merge gaps-mix.pcap | pcap-pace -z lz4 | "+ssh+" $(command -v pcap-inject) -i wire0")
		c.want("p99 ssh/file <= 1.5")
	} else {
		c.leaveOut("ssh: %v", err)
	}
	c.ours("floor", floorCommand)
	c.gaps(receivingEnd, "gaps-mix.pcap", 0)
}

// contestOfTiming compares pcap-inject with tcpreplay. Its median gap error is to be at most
// such a part of that of tcpreplay.
func (b *bench) contestOfTiming(title, capture, ratio string, more ...string) {
	c := b.contest(title)
	c.ours("pcap-inject", "pcap-inject -i wire0 "+capture)
	c.ours("realtime", "pcap-inject --realtime -i wire0 "+capture)
	c.ours("spin", "pcap-inject --spin -i wire0 "+capture)
	c.tcpreplays("", "-q -K -i wire0 "+capture)
	c.ours("floor", floorCommand)
	c.want("p50 pcap-inject/tcpreplay <= " + ratio)
	for _, figure := range []string{"p99", "p999"} {
		c.want(figure + " pcap-inject/tcpreplay|floor <= 1.5")
	}
	for _, figure := range []string{"p99", "p999", "max"} {
		for _, way := range []string{"realtime", "spin"} {
			c.want(figure + " " + way + "/tcpreplay|floor <= 1")
		}
	}
	c.want("drift pcap-inject/tcpreplay <= 0.002")
	c.want("drift pcap-inject <= 100")
	c.want("missing pcap-inject <= 0")
	for _, claim := range more {
		c.want(claim)
	}
	c.gaps(receivingEnd, capture, 0)
}

// startServer runs sshd on loopback in this namespace, and gives the command that reaches it.
func (b *bench) startServer() (ssh string, err error) {
	if !has("ssh") || !has("sshd") || os.Geteuid() != 0 {
		return "", fmt.Errorf("it needs root, ssh and sshd")
	}
	folder := filepath.Join(b.work, "ssh")
	key := filepath.Join(folder, "key")
	_ = os.RemoveAll(folder)
	for _, name := range []string{folder, "/run/sshd"} {
		if err := os.MkdirAll(name, 0o755); err != nil {
			return "", err
		}
	}
	if _, err := shell("ssh-keygen -q -t ed25519 -N '' -f " + key); err != nil {
		return "", err
	}
	config := "Port 2222\nListenAddress 127.0.0.1\nHostKey " + key + "\nAuthorizedKeysFile " + key + ".pub\n" +
		"PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
	if err := os.WriteFile(filepath.Join(folder, "config"), []byte(config), 0o600); err != nil {
		return "", err
	}
	path, err := exec.LookPath("sshd") // it wants its whole path
	if err != nil {
		return "", err
	}
	server := exec.Command(path, "-D", "-f", filepath.Join(folder, "config"))
	if err := server.Start(); err != nil {
		return "", err
	}
	b.server = server
	ssh = "ssh -p 2222 -i " + key + " -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@127.0.0.1"
	const tries = 50
	for range tries {
		if _, err := shell(ssh + " true"); err == nil {
			return ssh, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", fmt.Errorf("sshd does not answer after %d tries", tries)
}
