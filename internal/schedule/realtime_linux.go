package schedule

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// realtimePriority is in the middle of those of SCHED_FIFO, where interrupt
// threads run.
const realtimePriority = 50

// PrepareRealtime does for the whole process what exact sending wants: memory
// that stays in memory, and cores that do not sleep deeply. Each thing that is
// not permitted is an error of its own; the others are done. The cores may sleep
// again after release.
func PrepareRealtime() (release func(), errs []error) {
	release = func() {}
	// A thread that leaves SCHED_FIFO comes back by this limit when the
	// capabilities have been dropped.
	_ = unix.Setrlimit(unix.RLIMIT_RTPRIO, &unix.Rlimit{Cur: realtimePriority, Max: realtimePriority})
	// Not MCL_FUTURE: without CAP_IPC_LOCK it would make the allocations to come fail.
	if err := unix.Mlockall(unix.MCL_CURRENT); err != nil {
		errs = append(errs, fmt.Errorf("lock memory: %w", err))
	}
	// The request holds as long as the file is open:
	// https://docs.kernel.org/power/pm_qos_interface.html
	file, err := os.OpenFile("/dev/cpu_dma_latency", os.O_WRONLY, 0)
	if err == nil {
		_, err = file.Write(make([]byte, 4))
		release = func() { file.Close() }
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("keep the cores awake: %w", err))
	}
	return release, errs
}

// RealtimeThread keeps a thread in SCHED_FIFO as long as it sleeps enough. The
// kernel stops one that never does for 50 ms in each second.
type RealtimeThread struct {
	thread int
	fifo   bool
	began  int64 // the window in which its duty is measured
	slept  int64 // ever, when that began
}

const (
	dutyWindow = int64(100 * time.Millisecond)
	leaveDuty  = 0.88 // sched_rt_runtime_us is 95 % by default
	enterDuty  = 0.75
)

// EnterRealtime makes the calling thread a real-time one. The caller has locked
// its goroutine to it.
func EnterRealtime() (*RealtimeThread, error) {
	t := &RealtimeThread{thread: unix.Gettid()}
	// For when SCHED_FIFO has to be left. Where this is not permitted, neither is that.
	_ = unix.Setpriority(unix.PRIO_PROCESS, t.thread, -20)
	if err := t.setPolicy(unix.SCHED_FIFO); err != nil {
		return nil, fmt.Errorf("real-time scheduling: %w", err)
	}
	return t, nil
}

func (t *RealtimeThread) setPolicy(policy uint32) error {
	attributes := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy}
	if policy == unix.SCHED_FIFO {
		attributes.Priority = realtimePriority
	} else {
		attributes.Nice = -20
	}
	err := unix.SchedSetAttr(t.thread, attributes, 0)
	if err == nil {
		t.fifo = policy == unix.SCHED_FIFO
	}
	return err
}

// mind looks at how much the thread has slept, ever, and leaves SCHED_FIFO before
// the kernel stops it; or comes back.
func (t *RealtimeThread) mind(now, slept int64) {
	window := now - t.began
	if t.began == 0 {
		t.began, t.slept = now, slept
		return
	}
	if window < dutyWindow {
		return
	}
	duty := 1 - float64(slept-t.slept)/float64(window)
	t.began, t.slept = now, slept
	switch {
	case t.fifo && duty > leaveDuty:
		_ = t.setPolicy(unix.SCHED_NORMAL)
	case !t.fifo && duty < enterDuty:
		_ = t.setPolicy(unix.SCHED_FIFO)
	}
}

// SharpenTimers has the kernel wake the calling thread without the 50 us by which
// it may otherwise be late: PR_SET_TIMERSLACK, in nanoseconds.
func SharpenTimers() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }
