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

// KeepCoresAwake has the cores wait for work without going to sleep, until
// release. It halves what one takes to wake up, and what 1 packet in 100 is late
// by: https://docs.kernel.org/power/pm_qos_interface.html
func KeepCoresAwake() (release func(), err error) {
	file, err := os.OpenFile("/dev/cpu_dma_latency", os.O_WRONLY, 0)
	if err == nil {
		_, err = file.Write(make([]byte, 4)) // 0 us, for as long as the file is open
	}
	if err != nil {
		file.Close() // which may be nil
		return func() {}, fmt.Errorf("keep the cores awake: %w", err)
	}
	return func() { file.Close() }, nil
}

// PrepareRealtime does for the whole process what exact sending wants beside other
// work: priority, and memory that stays in memory.
func PrepareRealtime() error {
	// A thread that leaves SCHED_FIFO comes back by this limit when the
	// capabilities have been dropped.
	_ = unix.Setrlimit(unix.RLIMIT_RTPRIO, &unix.Rlimit{Cur: realtimePriority, Max: realtimePriority})
	// Not MCL_FUTURE: without CAP_IPC_LOCK it would make the allocations to come fail.
	if err := unix.Mlockall(unix.MCL_CURRENT); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
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
