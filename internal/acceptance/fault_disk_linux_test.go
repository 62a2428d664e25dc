package acceptance

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/lab"
)

// exitNoDisk is the exit code of tinyDisk where nothing can be mounted. No tool ends so.
const exitNoDisk = 77

// tinyDisk begins a script in a mount namespace: the folder "disk" becomes a file
// system of one MiB, and temporary files go there. In a chroot without a file system of
// its own, mounts cannot be kept from the rest of the machine.
const tinyDisk = `set -e
mkdir -p disk
mount --make-rprivate / && mount -t tmpfs -o size=1m none disk || exit 77
mkdir disk/tmp disk/out
export TMPDIR=$PWD/disk/tmp
ln -s $PWD/set.tar.gz disk/
set +e
`

// inMountNamespace runs a script in a mount namespace of its own, which ends with
// it. Where this is not possible the test is skipped.
func inMountNamespace(t *testing.T, script string) (code int, stdout, stderr string) {
	t.Helper()
	command := exec.Command("bash", "-c", tinyDisk+script)
	lab.Isolate(command)
	command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	var out, messages strings.Builder
	command.Stdout, command.Stderr = &out, &messages
	err := command.Run()
	if command.ProcessState == nil {
		if lab.IsForbidden(err) {
			t.Skipf("no mount namespaces here: %v", err)
		}
		t.Fatalf("mount namespace: %v", err)
	}
	if command.ProcessState.ExitCode() == exitNoDisk {
		t.Skipf("no mounts here: %s", strings.TrimSpace(messages.String()))
	}
	return command.ProcessState.ExitCode(), out.String(), messages.String()
}

// The member during which the disk gets full is counted as left out.
func TestFullDiskCountsTheMember(t *testing.T) {
	linkTools(t)
	makeSet(t, lab.WorkerSet{Workers: 4, Packets: 4000, Duration: time.Second, FileSize: 1 << 20, Seed: 5})
	for _, flags := range []string{"", "-z gzip "} {
		_, out, _ := inMountNamespace(t, "head -c 900k /dev/zero > disk/filler; pcap-tarcat "+flags+"-C disk/out --report report set.tar.gz .; tail -n 1 report; rm report")
		if !strings.Contains(out, `"left_out":1,`) {
			t.Errorf("%q: %s", flags, out)
		}
	}
}

// A disk that is full is said, with the name of what does not fit, and neither half
// a file nor a temporary one takes more of it.
func TestFullDisk(t *testing.T) {
	linkTools(t)
	makeSet(t, lab.WorkerSet{Workers: 4, Packets: 4000, Duration: time.Second, FileSize: 1 << 20, Seed: 5})
	const (
		fill       = "head -c 2m /dev/zero > disk/filler 2> /dev/null; " // to the last byte
		nearlyFill = "head -c 900k /dev/zero > disk/filler; "
		noInodes   = "mount -t tmpfs -o nr_inodes=3 none disk/out; "
	)
	for _, c := range []struct{ command, words string }{
		{"for i in {1..8}; do cat captures/*; done | pcap-merge --memory 0 > /dev/null", `pcap-merge: error: temporary file: write .*disk/tmp/.*`},
		{"for i in {1..8}; do cat captures/*; done | pcap-merge --memory 0 --tmp disk/out > /dev/null", `pcap-merge: error: temporary file: write disk/out/.*`},
		{"pcap-merge -o disk/out/a captures", `pcap-merge: error: disk/out/a`},
		{nearlyFill + "pcap-merge -o disk/out/a -z lz4 --pcapng captures", `pcap-merge: error: disk/out/a`},
		{"pcap-merge captures > disk/stdout", `pcap-merge: error: stdout`},
		{"cat captures/* | pcap-pace -q --asap -o disk/out/a", `pcap-pace: error: disk/out/a`},
		{"cat captures/* | pcap-inject -q --asap -w disk/out/a", `pcap-inject: error: disk/out/a`},
		{"pcap-tarcat -o disk/out/a set.tar.gz", `pcap-tarcat: error: disk/out/a`},
		{"pcap-tarcat -C disk/out set.tar.gz .", `pcap-tarcat: error: set.tar.gz: disk/out/captures/.*`},
		{nearlyFill + "pcap-tarcat -C disk/out -z gzip set.tar.gz .", `pcap-tarcat: error: set.tar.gz: disk/out/captures/.*`},
		{noInodes + "pcap-tarcat -C disk/out set.tar.gz .", `pcap-tarcat: error: disk/out/captures/.*`},
		{fill + "pcap-tarls --index disk/set.tar.gz > /dev/null", `pcap-tarls: error: disk/set.tar.gz: index`},
		{fill + "pcap-tarls -o disk/out/a set.tar.gz", `pcap-tarls: error: disk/out/a`},
		{fill + "pcap-map -o disk/out/a captures", `pcap-map: error: disk/out/a`},
		{fill + "pcap-map --svg disk/out/a captures > /dev/null", `pcap-map: error: disk/out/a`},
		{fill + "pcap-map --report disk/report captures > /dev/null", `pcap-map: error: report: write disk/report`},
		{fill + "pcap-merge --report disk/report captures > /dev/null", `pcap-merge: error: report: write disk/report`},
		{fill + "cat captures/* | pcap-pace -q --asap --report disk/report > /dev/null", `pcap-pace: error: report: write disk/report`},
		{fill + "cat captures/* | pcap-inject -q --asap -w /dev/null --report disk/report", `pcap-inject: error: report: write disk/report`},
		{fill + "pcap-tarls --report disk/report set.tar.gz > /dev/null", `pcap-tarls: error: report: write disk/report`},
		{fill + "pcap-tarcat --report disk/report set.tar.gz > /dev/null", `pcap-tarcat: error: report: write disk/report`},
	} {
		t.Run(c.command, func(t *testing.T) {
			// What is left is compared with the members of the archive, by name and content.
			code, out, messages := inMountNamespace(t, c.command+`; code=$?
				find disk/tmp disk/out -type f | while read -r f; do
					name=${f#disk/out/}
					case $name in *.gz) gzip -dc "$f" | cmp - "${name%.gz}" ;; *) cmp "$f" "$name" ;; esac > /dev/null 2>&1 || echo "$f"
				done
				exit $code`)
			if code != exitFailed || !regexp.MustCompile("^"+c.words+": no space left on device\n(pcap-merge: hint: --tmp names another folder .*\n)?$").MatchString(messages) {
				t.Errorf("exit %d, wanted %d and %q:\n%s", code, exitFailed, c.words, messages)
			}
			if out != "" {
				t.Errorf("it leaves %s", out)
			}
		})
	}
}

// A file that cannot be replaced is refused before the work, with its reason: one that is
// mounted, as by docker -v, and one of another user in a folder such as /tmp.
func TestFilesThatCannotBeReplaced(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(100, lab.Start, time.Microsecond, 100))
	shell(t, "tar -czf set.tar.gz a.pcap && touch set.tar.gz.tarx out && ln -s out link")
	const mounted = "is a mount point, and a mounted file cannot be replaced: mount its folder instead"
	for _, c := range []struct{ command, message string }{
		{"pcap-merge -o out a.pcap", "-o out"}, {"pcap-merge -o link a.pcap", "-o link"}, {"pcap-pace -o out a.pcap", "-o out"},
		{"pcap-inject -w out a.pcap", "-w out"}, {"pcap-map --svg out a.pcap", "--svg out"}, {"pcap-tarls --index set.tar.gz", "set.tar.gz: index"},
	} {
		_, stdout, messages := inMountNamespace(t, "mount --bind out out && mount --bind set.tar.gz.tarx set.tar.gz.tarx || exit 77; "+c.command)
		if tool, _, _ := strings.Cut(c.command, " "); stdout != "" || messages != tool+": error: "+c.message+": "+mounted+"\n" {
			t.Errorf("%s: %q, %s", c.command, stdout, messages)
		}
	}
	if os.Geteuid() != 0 {
		return // only root gives files to others
	}
	lab.NeedProgram(t, "setpriv")
	output := string(shell(t, "chmod 755 .. . $(dirname $(command -v pcap-merge)) && mkdir open && chmod 1777 open && touch open/out && chmod 666 open/out && chown 1234 open/out"+
		" && ! setpriv --reuid 65534 --clear-groups pcap-merge -o open/out a.pcap 2>&1 && setpriv --reuid 1234 --clear-groups pcap-merge -o open/out a.pcap"))
	if output != "pcap-merge: error: -o open/out: belongs to another user, and the folder (sticky bit) lets only that user replace it\n" {
		t.Error(output)
	}
	noTemporaryFiles(t, ".")
}
