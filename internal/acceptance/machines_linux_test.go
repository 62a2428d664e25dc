package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
)

// machineSet is replayed by several machines, which here are interfaces or
// namespaces of one.
var machineSet = lab.WorkerSet{Workers: 4, Packets: 400, Duration: 800 * time.Millisecond, FileSize: 20 << 10, Seed: 9}

// share is what one of several machines does: whatever its first packet is, it
// begins where the set does.
const share = `pcap-merge --shard {}/4 captures | pcap-pace --start-at $start --from $first`

// shares is a pipeline of all of them, each ended by another command.
func shares(start, end string) string {
	return `first=$(pcap-map captures | jq -rs 'map(.earliest // empty) | min'); start=` + start + `
		parallel --will-cite -j 4 "` + share + end + `" ::: 0 1 2 3`
}

// Shares of a set are stamped, each for itself, as the whole set is.
func TestSharesAreStampedAsTheSet(t *testing.T) {
	lab.NeedProgram(t, "jq", "parallel")
	linkTools(t)
	makeSet(t, machineSet)
	shell(t, shares("2030-01-01", " --asap -q -o {}.pcap")+`
		pcap-merge [0-3].pcap > shares.pcap
		pcap-merge captures | pcap-pace -q --asap --start-at 2030-01-01 > set.pcap
		cmp shares.pcap set.pcap
		test $(pcap-map [0-3].pcap | jq -r .first | sort -u | wc -l) -eq 4`)
}

// Several injectors send their shares at fixed moments: together, all of the set.
func TestSharesTogetherAreTheSet(t *testing.T) {
	lab.NeedProgram(t, "jq", "parallel")
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	linkTools(t)
	makeSet(t, machineSet)
	at := time.Now().Add(2 * time.Second)
	want, got := machineSet.Merged(), replay(t, shares(record.Time(at.UnixNano()).String(), " -q | pcap-inject -q --at -i left"))
	if len(got) != len(want) {
		t.Fatalf("%d frames arrived, wanted %d", len(got), len(want))
	}
	if early := at.Sub(time.Unix(0, got[0].Time)); early > time.Millisecond {
		t.Errorf("the first frame arrived %v before its moment", early)
	}
	// Neighbours of different shares may change places by as much as they are late.
	moments := map[string]int64{}
	for i := range want {
		moments[string(want[i].Data)] = want[i].Time - want[0].Time
	}
	var off []time.Duration
	for i := range got {
		moment, ok := moments[string(got[i].Data)]
		if !ok {
			t.Fatalf("frame %d is none of the set, or came twice", i)
		}
		delete(moments, string(got[i].Data))
		off = append(off, time.Duration(got[i].Time-at.UnixNano()-moment).Abs())
	}
	slices.Sort(off)
	t.Logf("off by p50 %v, p99 %v", off[len(off)/2], off[len(off)*99/100])
}

// One stream goes to two sensors, each in a namespace of its own, which see the
// same packets at the same time.
func TestOneStreamToTwoSensors(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("named network namespaces need root")
	}
	lab.NeedProgram(t, "ip", "tcpdump", "timeout")
	if !lab.InNamespace(t) {
		return
	}
	folder := linkTools(t)
	makeSet(t, machineSet)
	all := machineSet.Merged()
	var hosts []string
	for _, name := range []string{"north", "south"} {
		host := fmt.Sprintf("%s-%d", name, os.Getpid())
		if out, err := exec.Command("ip", "netns", "add", host).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", host).Run() })
		shell(t, strings.ReplaceAll(`
			ip -n HOST link add eth1 type veth peer name tap
			ip netns exec HOST sh -c 'echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6' > /dev/null 2>&1 || true
			ip -n HOST link set eth1 up
			ip -n HOST link set tap up`, "HOST", host))
		hosts = append(hosts, host)
	}
	// ssh HOST COMMAND gives the words to a shell of that host.
	shim := "#!/bin/sh\nhost=$1; shift; exec ip netns exec $host sh -c \"$*\"\n"
	if err := os.WriteFile(filepath.Join(folder, "ssh"), []byte(shim), 0o777); err != nil {
		t.Fatal(err)
	}
	// With its usual snaplen, a ring of tcpdump has room for 8 frames.
	shell(t, strings.NewReplacer("NORTH", hosts[0], "SOUTH", hosts[1], "COUNT", fmt.Sprint(len(all))).Replace(`
		for host in NORTH SOUTH; do
			ssh $host timeout 20 tcpdump -i tap --immediate-mode -s 2000 -B 32768 --nano -U -c COUNT -w $host.pcap 2> $host.log &
			until grep -sq listening $host.log; do sleep 0.01; done
		done
		pcap-merge captures | pcap-pace --start-at $(date -d '+2 seconds' +%s) |
			tee >(ssh NORTH pcap-inject -q --at -i eth1) | ssh SOUTH pcap-inject -q --at -i eth1
		wait`))
	north, south := lab.ReadCapture(t, hosts[0]+".pcap"), lab.ReadCapture(t, hosts[1]+".pcap")
	wantArrival(t, "north", all, north)
	wantArrival(t, "south", all, south)
	var apart []time.Duration
	for i := range min(len(north), len(south)) {
		if !bytes.Equal(north[i].Data, south[i].Data) {
			break
		}
		apart = append(apart, time.Duration(north[i].Time-south[i].Time).Abs())
	}
	slices.Sort(apart)
	if len(apart) == 0 || apart[len(apart)/2] > 50*time.Millisecond {
		t.Errorf("%d packets arrived at both; half of them over 50 ms apart", len(apart))
	}
}
