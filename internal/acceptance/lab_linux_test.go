package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"pcap-replay/internal/lab"
)

// labScript returns a function that runs scripts/lab.
func labScript(t *testing.T) func(args ...string) (code int, output string) {
	t.Helper()
	script, err := filepath.Abs("../../scripts/lab")
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) (code int, output string) {
		command := exec.Command(script, args...)
		out, err := command.CombinedOutput()
		if command.ProcessState == nil {
			t.Fatal(err)
		}
		return command.ProcessState.ExitCode(), string(out)
	}
}

// scripts/lab makes a pair that nothing but what is sent crosses, and leaves
// nothing after.
func TestLabScript(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("named network namespaces need root")
	}
	lab.NeedProgram(t, "ip", "ethtool", "tcpdump", "timeout")
	if !lab.InNamespace(t) {
		return
	}
	run, name := labScript(t), fmt.Sprintf("lab-%d", os.Getpid())
	t.Cleanup(func() { run("down", name) })
	if code, output := run("status", name); code != exitFailed || !strings.Contains(output, name+" is down") {
		t.Errorf("status: exit %d, %s", code, output)
	}
	if code, output := run("up", name, "9000"); code != exitDone {
		t.Fatalf("up: exit %d, %s", code, output)
	}
	if code, output := run("status", name); code != exitDone || !strings.Contains(output, name+"1") {
		t.Errorf("status: exit %d, %s", code, output)
	}
	if code, output := run("up", name); code != exitFailed || !strings.Contains(output, "is up already") {
		t.Errorf("up again: exit %d, %s", code, output)
	}
	link, err := netlink.LinkByName(name + "0")
	if err != nil || link.Attrs().MTU != 9000 || link.Attrs().OperState != netlink.OperUp {
		t.Fatalf("%v, %+v", err, link)
	}
	for _, feature := range []string{"tcp-segmentation-offload", "generic-receive-offload", "tx-checksumming"} {
		if out := shell(t, "ethtool -k "+name+"0; ip netns exec "+name+" ethtool -k "+name+"1"); strings.Count(string(out), feature+": off") != 2 {
			t.Errorf("%s is not off", feature)
		}
	}

	linkTools(t)
	makeSet(t, composedSet)
	all := composedSet.Merged()
	shell(t, strings.ReplaceAll(fmt.Sprintf(`
		ip netns exec LAB timeout 20 tcpdump -i LAB1 --immediate-mode -s 2000 -B 32768 --nano -U -c %d -w got.pcap 2> log & sensor=$!
		until grep -sq listening log; do sleep 0.01; done
		pcap-merge captures | pcap-inject -q -i LAB0 && wait $sensor`, len(all)), "LAB", name))
	wantArrival(t, "pipeline", all, lab.ReadCapture(t, "got.pcap"))
	if out := string(shell(t, "ip netns exec "+name+" cat /sys/class/net/"+name+"1/statistics/rx_packets")); out != fmt.Sprintln(len(all)) {
		t.Errorf("%s packets crossed, wanted %d", out, len(all))
	}

	for range 2 {
		if code, output := run("down", name); code != exitDone || output != "" {
			t.Errorf("down: exit %d, %s", code, output)
		}
	}
	if _, err := netlink.LinkByName(name + "0"); err == nil {
		t.Errorf("%s0 is still there", name)
	}
	if _, err := os.Stat("/run/netns/" + name); err == nil {
		t.Errorf("%s is still there", name)
	}

	// An interface of somebody else stays.
	lab.MakePair(t, name+"0", "other")
	if code, output := run("up", name); code != exitFailed || !strings.Contains(output, "already") {
		t.Errorf("up beside %s0: exit %d, %s", name, code, output)
	}
	run("down", name)
	if _, err := netlink.LinkByName(name + "0"); err != nil {
		t.Error(err)
	}
}

func TestLabScriptRefusesMistakes(t *testing.T) {
	run := labScript(t)
	for _, args := range [][]string{
		nil, {"left"}, {"up", "-x"}, {"up", "a/b"}, {"up", ""}, {"up", "fifteen-letters"}, {"up", "x", "67"}, {"up", "x", "65536"}, {"up", "x", "many"}, {"up", "x", ""}, {"up", "x", "1500", "y"},
	} {
		if code, output := run(args...); code != exitUsage || !strings.HasPrefix(output, "lab: error: ") {
			t.Errorf("lab %q: exit %d, %s", args, code, output)
		}
	}
}
