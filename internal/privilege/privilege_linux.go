package privilege

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fileAccess are the capabilities by which root opens, creates and replaces the files of
// others. All tools do that until their end, so that these cannot be given up as a socket
// makes possible.
const fileAccess = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER

// sending are the capabilities by which a tool opens packet sockets with large buffers, and
// prepares its threads: real-time scheduling and locked memory.
const sending = 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_NICE | 1<<unix.CAP_IPC_LOCK | 1<<unix.CAP_SYS_RESOURCE

// Drop gives up all capabilities of all threads for good: capabilities(7). An open socket
// needs none. A binary with cgo cannot: it has threads that Go does not know, and gets
// [errors.ErrUnsupported].
func Drop() error { return keep(0) }

// KeepFileAccess is Drop for a run that opens and creates files later: root keeps the
// capabilities for that. Whoever else has capabilities got them from the file of the
// program, for its sockets, and reads files with the rights of the user only.
func KeepFileAccess() error { return keep(ofFiles()) }

// KeepSending is KeepFileAccess for a run that will open sockets and then call one of the
// others.
func KeepSending() error { return keep(ofFiles() | sending) }

// ofFiles are the capabilities for files that a run may keep.
func ofFiles() uint32 {
	if os.Geteuid() != 0 || isSecure() {
		return 0
	}
	return fileAccess
}

// keep gives up all capabilities but some, and the ways to get others by exec.
func keep(some uint32) error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("no new privileges: %w", errno)
	}
	// Ambient capabilities are those that an exec would keep.
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0); errno != 0 && errno != unix.EINVAL {
		return fmt.Errorf("ambient capabilities: %w", errno)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of capabilities below 32, and of the others
	if some != 0 {
		if err := unix.Capget(&header, &sets[0]); err != nil {
			return fmt.Errorf("capabilities: %w", err)
		}
	}
	if err := becomeCaller(); err != nil {
		return err
	}
	sets = [2]unix.CapUserData{{Effective: sets[0].Effective & some, Permitted: sets[0].Permitted & some}}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0); errno != 0 {
		return fmt.Errorf("capabilities: %w", errno)
	}
	return nil
}

// becomeCaller makes a program with the setuid bit of root run as the user who has called it:
// without capabilities, it would still own the files of root. The permitted capabilities
// remain, and the effective ones do not.
func becomeCaller() error {
	user, group := os.Getuid(), os.Getgid()
	if user == os.Geteuid() || os.Geteuid() != 0 {
		return nil
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("keep capabilities: %w", errno)
	}
	if err := errors.Join(syscall.Setresgid(group, group, group), syscall.Setresuid(user, user, user)); err != nil {
		return fmt.Errorf("user %d, group %d: %w", user, group, err)
	}
	return nil
}

// isSecure says whether this process has privileges that its user lacks: AT_SECURE of
// getauxval(3).
func isSecure() bool {
	const atSecure = 23
	vector, err := unix.Auxv()
	if err != nil {
		return os.Geteuid() != os.Getuid()
	}
	for _, entry := range vector {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return false
}

// IgnoreRuntimeVariables begins this program anew without the variables that the Go
// runtime obeys (GODEBUG, GOTRACEBACK, GOGC, GOMEMLIMIT, GOMAXPROCS), if it has privileges
// that its user lacks: glibc does so with its own. The runtime has read them already, and
// before the first function of the program runs, they can make it print, and no more. exec
// gives the same privileges again, since they come with the file.
func IgnoreRuntimeVariables() error {
	if !isSecure() {
		return nil
	}
	environment, found := withoutRuntimeVariables(os.Environ())
	if !found {
		return nil
	}
	err := unix.Exec("/proc/self/exe", os.Args, environment)
	return errors.Join(errors.New("cannot ignore the GO variables of the environment"), err)
}

// withoutRuntimeVariables leaves out the variables of Go, and says whether there are any.
// The runtime itself sets GOTRACEBACK to none for a privileged program.
func withoutRuntimeVariables(environment []string) (rest []string, found bool) {
	for _, variable := range environment {
		switch {
		case !strings.HasPrefix(variable, "GO") && !strings.HasPrefix(variable, "ZONEINFO="):
			rest = append(rest, variable)
		case variable != "GOTRACEBACK=none":
			found = true
		}
	}
	return rest, found
}
