package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// insideVariable is set in the environment of a process that runs in a network
// namespace of its own.
const insideVariable = "PCAP_REPLAY_LAB"

// Inside reports whether this process runs in a namespace made by Isolate.
func Inside() bool { return os.Getenv(insideVariable) != "" }

// Isolate makes command run in a network namespace of its own, which ends with it. If this
// process is not root, the command becomes root of a user namespace: user_namespaces(7).
func Isolate(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if command.Env == nil {
		command.Env = os.Environ()
	}
	command.Env = append(command.Env, insideVariable+"=1")
}

// IsForbidden reports whether err, from starting an isolated command, means that this
// machine does not allow namespaces.
func IsForbidden(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL)
}

// InNamespace runs the calling test again in a network namespace of its own, where it
// returns true:
//
//	func TestSending(t *testing.T) {
//		if !lab.InNamespace(t) {
//			return // the other process ran it
//		}
//		lab.MakePair(t, "left", "right")
//		...
//
// If namespaces are forbidden, the test is skipped. A subtest that is skipped in the
// namespace is also skipped here.
func InNamespace(t *testing.T) bool {
	t.Helper()
	if Inside() {
		return true
	}
	runtime.LockOSThread() // Pdeathsig depends on the thread that starts the child
	defer runtime.UnlockOSThread()
	pattern := "^" + regexp.QuoteMeta(t.Name()) + "$"
	command := exec.Command("/proc/self/exe", "-test.run="+pattern, "-test.v=true", "-test.timeout=2m")
	Isolate(command)
	output, err := command.CombinedOutput()
	var failed *exec.ExitError
	skipped := skippedTests(output)
	switch {
	case err == nil && skipped[t.Name()] != "":
		t.Skip(skipped[t.Name()])
	case err == nil && !bytes.Contains(output, []byte("--- PASS")):
		t.Fatalf("in a namespace, nothing ran:\n%s", output)
	case errors.As(err, &failed):
		t.Fatalf("in a namespace:\n%s", output)
	case IsForbidden(err):
		t.Skipf("no network namespaces here: %v", err)
	case err != nil:
		t.Fatalf("network namespace: %v", err)
	}
	for name, reason := range skipped {
		t.Run(strings.TrimPrefix(name, t.Name()+"/"), func(t *testing.T) { t.Skip(reason) })
	}
	return false
}

// Parallel lets other tests run while a test with InNamespace waits. It is for tests that
// mostly wait and do not judge how punctual the tools are. In the namespace, the test is alone.
func Parallel(t *testing.T) {
	if !Inside() {
		t.Parallel()
	}
}

// skippedTests returns the reasons of skipped tests by name, from the output of go test -v.
func skippedTests(output []byte) map[string]string {
	skipped, reasons, running := map[string]string{}, map[string]string{}, ""
	for line := range strings.Lines(string(output)) {
		if m := testLine.FindStringSubmatch(line); m != nil {
			running = m[1]
		} else if m := messageLine.FindStringSubmatch(line); m != nil {
			reasons[running] = m[1]
		} else if m := skipLine.FindStringSubmatch(line); m != nil {
			skipped[m[1]] = reasons[m[1]]
		}
	}
	return skipped
}

var (
	testLine    = regexp.MustCompile(`^=== \w+ +(\S+)`)
	messageLine = regexp.MustCompile(`^ +\S+\.go:\d+: (.*)`)
	skipLine    = regexp.MustCompile(`^ *--- SKIP: (\S+)`)
)

// Pair makes a veth pair in the namespace of this process and sets both ends up. It turns
// IPv6 off, also for later interfaces, so that only the frames of the test cross the pair.
// It sets the loopback interface up as well.
func Pair(left, right string) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = left
	attributes.NumTxQueues, attributes.NumRxQueues = 2, 2
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: right, PeerNumTxQueues: 2, PeerNumRxQueues: 2}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("veth pair %s, %s: %w", left, right, err)
	}
	// The default applies to an interface whose MTU was below 1280, which is too small for
	// IPv6.
	for _, name := range []string{"default", left, right} {
		// Only a sysctl turns IPv6 off. A kernel without IPv6 does not have it.
		setting := filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
		if err := os.WriteFile(setting, []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, name := range []string{left, right, "lo"} {
		if err := SetUp(name); err != nil {
			return err
		}
	}
	return nil
}

// MakePair is Pair for tests.
func MakePair(t testing.TB, left, right string) {
	t.Helper()
	if err := Pair(left, right); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: left}}) })
}

// SetUp sets an interface up.
func SetUp(name string) error { return change(name, netlink.LinkSetUp) }

// SetDown sets an interface down. The peer of a veth then has no carrier.
func SetDown(name string) error { return change(name, netlink.LinkSetDown) }

// SetMTU changes the MTU of an interface.
func SetMTU(name string, mtu int) error {
	return change(name, func(link netlink.Link) error { return netlink.LinkSetMTU(link, mtu) })
}

func change(name string, how func(netlink.Link) error) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %q: %w", name, err)
	}
	if err := how(link); err != nil {
		return fmt.Errorf("interface %q: %w", name, err)
	}
	return nil
}

// htons converts protocol numbers for socket addresses.
func htons(v uint16) uint16 { return v<<8 | v>>8 }

// Namespace is another network namespace, for the other end of a veth pair.
type Namespace struct{ file *os.File }

// NewNamespace makes a network namespace with a loopback interface that is up. It ends with
// the test.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	opened := make(chan error)
	n := &Namespace{}
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		if err == nil {
			err = SetUp("lo")
		}
		opened <- err
	}()
	if err := <-opened; err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	t.Cleanup(func() { n.file.Close() })
	return n
}

// Path names the namespace for ip link set netns.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Do runs a function in the namespace. Sockets that it opens and programs that it starts
// stay there.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}
