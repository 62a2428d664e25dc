package frame

import (
	"bufio"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
)

// Of all TCP and UDP packets of the corpus, the clients are those that the rules give for the
// addresses, ports and flags that tshark finds.
func TestClientsOfTheCorpus(t *testing.T) {
	lab.NeedProgram(t, "tshark")
	packets := ethernetOfCorpus(t)
	path := filepath.Join(t.TempDir(), "corpus.pcap")
	lab.WriteCapture(t, path, packets)
	command := exec.Command("tshark", "-r", path, "-n", "-T", "fields", "-E", "occurrence=a", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
		"-Y", "(tcp or udp) and not icmp and not icmpv6 and not ip.flags.mf == 1 and not ip.frag_offset > 0 and not ipv6.fraghdr",
		"-e", "frame.number", "-e", "ip.src", "-e", "ip.dst", "-e", "ipv6.src", "-e", "ipv6.dst",
		"-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "udp.srcport", "-e", "udp.dstport", "-e", "tcp.flags.syn", "-e", "tcp.flags.ack")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := newClients(1 << 18) // no flow is forgotten
	clients := map[[3]string]string{}
	seen, differ := 0, 0
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		isTCP, isUDP := fields[5] != "", fields[7] != ""
		if strings.Contains(lines.Text(), ",") || (fields[1] == "") == (fields[3] == "") || isTCP == isUDP {
			continue // a tunnel
		}
		number, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		fromPort, toPort := fields[5]+fields[7], fields[6]+fields[8]
		from, to := fields[1]+fields[3]+" "+fromPort, fields[2]+fields[4]+" "+toPort
		flow := [3]string{min(from, to), max(from, to), strconv.FormatBool(isTCP)}
		a, _ := strconv.Atoi(fromPort)
		b, _ := strconv.Atoi(toPort)
		_, known := clients[flow]
		isSYN, isACK := fields[9] == "1" || fields[9] == "True", fields[10] == "1" || fields[10] == "True"
		switch {
		case isTCP && isSYN && !isACK:
			clients[flow] = from
		case isTCP && isSYN:
			clients[flow] = to
		case known:
		case (isTCP || (a < 1024) != (b < 1024)) && a < b:
			clients[flow] = to
		default:
			clients[flow] = from
		}
		seen++
		if got, decided := c.FromClient(&packets[number-1]); !decided || got != (clients[flow] == from) {
			if differ++; differ < 10 {
				t.Errorf("packet %d: %v, %v: %s", number, got, decided, lines.Text())
			}
		}
	}
	if err := errors.Join(lines.Err(), command.Wait()); err != nil {
		t.Fatalf("tshark: %v", err)
	}
	if seen < 100_000 || differ > 0 {
		t.Errorf("%d of %d packets differ", differ, seen)
	}
}
