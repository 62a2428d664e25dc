package wire_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/wire"
)

func tc(t *testing.T, arguments string) {
	t.Helper()
	lab.NeedProgram(t, "tc")
	if output, err := exec.Command("tc", strings.Fields(arguments)...).CombinedOutput(); err != nil {
		t.Fatalf("tc %s: %v\n%s", arguments, err, output)
	}
}

// Frames may bypass the queueing discipline only where nothing would miss them.
func TestNeedsQueue(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	i, err := wire.Lookup("left")
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		if why, err := i.NeedsQueue(); err != nil || why != want {
			t.Errorf("%q, %v; wanted %q", why, err, want)
		}
	}
	expect("")
	onPeer := listen(t, "right")
	expect("")
	onPeer.Close()
	onSelf := listen(t, "left")
	expect("a program captures on it")
	onSelf.Close()
	sender, err := wire.OpenPacket(i)
	if err != nil {
		t.Fatal(err)
	}
	expect("") // the sender's own socket receives nothing
	sender.Close()
	tc(t, "qdisc add dev left clsact")
	expect("its queueing discipline is clsact")
	tc(t, "qdisc del dev left clsact")
	tc(t, "qdisc add dev left ingress")
	expect("") // it handles received frames
	tc(t, "qdisc add dev left root tbf rate 1mbit burst 10k limit 10k")
	expect("its queueing discipline is tbf")
}

// Frames that a full queue refuses are sent again; frames that it drops without an error
// are counted.
func TestQueueDrops(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	for _, test := range []struct {
		name        string
		disciplines []string
		drops       bool
	}{
		{"refuses", []string{"root handle 1: tbf rate 20mbit burst 5k limit 3000"}, false},
		{"drops", []string{"root handle 1: tbf rate 20mbit burst 5k limit 3000", "parent 1:1 pfifo_head_drop limit 5"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			lab.MakePair(t, "left", "right")
			receiver := listen(t, "right")
			i, err := wire.Lookup("left")
			if err != nil {
				t.Fatal(err)
			}
			for _, discipline := range test.disciplines {
				tc(t, "qdisc add dev left "+discipline)
			}
			sender, err := wire.OpenPacket(i)
			if err != nil {
				t.Fatal(err)
			}
			defer sender.Close()
			packets := lab.Packets(2000, lab.Start, 0, 100)
			if sent, err := sendAll(sender, packets); sent != len(packets) || err != nil {
				t.Fatalf("%d sent, %v", sent, err)
			}
			if err := sender.Drain(); err != nil {
				t.Fatal(err)
			}
			got, err := receiver.Receive(time.Second, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			drops, err := i.QueueDrops()
			if err != nil {
				t.Fatal(err)
			}
			if lost := int(drops - sender.Retries()); lost != len(packets)-len(got) || lost > 0 != test.drops {
				t.Errorf("%d drops and %d retries, but %d of %d arrived", drops, sender.Retries(), len(got), len(packets))
			}
		})
	}
}
