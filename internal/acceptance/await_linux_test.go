package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pcap-replay/internal/lab"
)

// quietLooks is how many times in a row no thread of a process may run, so that the process
// counts as asleep. Looks are 5 ms apart: see lab.Await.
const quietLooks = 6

// awaitSleep waits until all threads of a process sleep, because it has done what it can do,
// or until it has ended.
func awaitSleep(t *testing.T, process *os.Process) {
	t.Helper()
	looks := 0
	lab.Await(t, "the process sleeps", func() bool {
		if looks++; runs(process) {
			looks = 0
		}
		return looks >= quietLooks
	})
}

// runs reports whether a thread of a process runs: proc_pid_stat(5).
func runs(process *os.Process) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", process.Pid))
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		_, fields, _ := bytes.Cut(stat, []byte(") "))
		if state := fields[0]; state != 'S' && state != 'Z' {
			return true
		}
	}
	return false
}
