package schedule

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// KeepCoresAwake keeps the cores out of deep sleep states until release. This halves the
// time of a wake-up, and the p99 of the lateness:
// https://docs.kernel.org/power/pm_qos_interface.html
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

// LockMemory keeps the memory of the process out of swap space.
func LockMemory() error {
	// Without CAP_IPC_LOCK, MCL_FUTURE would make later allocations fail.
	if err := unix.Mlockall(unix.MCL_CURRENT); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}

// slice is the shortest time slice of an ordinary thread. The kernel runs a thread with a
// short slice soon after it wakes up. It is a part of sched_attr since Linux 6.12, and
// older kernels ignore it: https://docs.kernel.org/scheduler/sched-eevdf.html
const slice = uint64(100 * time.Microsecond)

// PreferThread makes the kernel run the calling thread soon after it wakes up, as far as
// that is permitted: with a short time slice, without timer slack, and with the highest
// priority of an ordinary thread unless the user has changed the priority of the process.
func PreferThread() {
	// In nanoseconds. By default, sleeps take up to 50 us longer: PR_SET_TIMERSLACK(2const).
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	attributes, err := unix.SchedGetAttr(0, 0)
	if err != nil || attributes.Policy != unix.SCHED_NORMAL {
		return
	}
	attributes.Runtime = slice
	_ = unix.SchedSetAttr(0, attributes, 0)
	if attributes.Nice == 0 {
		attributes.Nice = -20
		_ = unix.SchedSetAttr(0, attributes, 0)
	}
}

// RealtimeThread is a thread that runs before all ordinary threads. Where possible, its
// scheduling class is SCHED_DEADLINE: sched(7). Otherwise it is SCHED_FIFO.
//
// The kernel protects ordinary threads from it: if they have run for less than 50 ms in a
// second, it stops the real-time thread for the rest of these 50 ms. So the thread has to
// sleep at times. A thread of SCHED_FIFO beside a busy process was late by up to 115 ms on
// Linux 6.18.
//
// A thread of SCHED_DEADLINE polls the clock while there are enough cores for all threads,
// because a halted core was seen to wake up late by several milliseconds: the host of a
// virtual machine gives such a core away. Beside two busy loops on two cores, a thread that
// polled all the time was stopped for 50 ms once in five minutes, and one that rests was late
// by at most 5 ms.
type RealtimeThread struct {
	load     *Load // nil for SCHED_FIFO
	measured int64 // when debt was last computed
	slept    int64 // ever, by then
	debt     int64 // how long it must still sleep; negative if it has slept more
}

const (
	// restShare is the share of the time in which a real-time thread sleeps. The kernel
	// gives 5 % to ordinary threads, but they run only for a part of each sleep.
	restShare = 0.1
	// pollingRestShare is that of a thread that polls: a nap in 100 ms, if a gap is long
	// enough for it. Linux before 6.12 never stops such a thread, and the kernel threads that
	// are bound to its core run in its naps.
	pollingRestShare = 0.0005
	// maxCredit is how much of earlier sleep counts. The kernel measures by the second.
	maxCredit = int64(20 * time.Millisecond)
	// maxDebt bounds the sleep after a time in which the thread could not run.
	maxDebt = int64(time.Millisecond)
	// deadlinePeriod is the period and also the runtime of the class SCHED_DEADLINE: the
	// thread may run all the time. A thread with an earlier deadline runs first.
	deadlinePeriod = uint64(time.Millisecond)
	// resetOnFork lets the thread start others, which are ordinary ones: sched(7).
	resetOnFork = 1 // SCHED_FLAG_RESET_ON_FORK
	// fifoPriority is that of interrupt threads.
	fifoPriority = 50
)

// EnterRealtime makes the calling thread a real-time thread. The caller has locked its
// goroutine to it.
func EnterRealtime(load *Load) (*RealtimeThread, error) {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Flags: resetOnFork,
		Runtime: deadlinePeriod, Deadline: deadlinePeriod, Period: deadlinePeriod,
	}, 0)
	if err == nil {
		return &RealtimeThread{load: load}, nil
	}
	// A machine with one core, a process that may not use all cores, or many threads.
	err = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: fifoPriority}, 0)
	if err != nil {
		return nil, fmt.Errorf("real-time scheduling: %w", err)
	}
	return &RealtimeThread{}, nil
}

// polls reports whether the thread polls the clock in all but long gaps.
func (t *RealtimeThread) polls() bool {
	return t != nil && t.load != nil && !t.load.isHigh.Load()
}

// owed is how long the thread must still sleep. slept is how long it has slept ever.
func (t *RealtimeThread) owed(now, slept int64) int64 {
	share, credit, debt := restShare, maxCredit, maxDebt
	if t.polls() {
		share, credit, debt = pollingRestShare, 0, 2*nap
	}
	if t.measured != 0 {
		t.debt += int64(share*float64(now-t.measured)) - (slept - t.slept)
		t.debt = min(max(t.debt, -credit), debt)
	}
	t.measured, t.slept = now, slept
	return t.debt
}

// Load tells whether all cores are busy.
type Load struct {
	isHigh atomic.Bool
	file   *os.File
	idle   float64 // seconds, of all cores ever
	stop   chan struct{}
}

const (
	// loadInterval is how often the load is measured. The kernel does not stop a real-time
	// thread within it.
	loadInterval = 200 * time.Millisecond
	// idleShare is how much of one core must be idle so that the load is low. The kernel
	// counts in steps of 10 ms, 5 % of the interval.
	idleShare = 0.2
)

// WatchLoad measures the load until Stop is called. It returns nil if that is not possible.
func WatchLoad() *Load {
	file, err := os.Open("/proc/uptime")
	if err != nil {
		return nil
	}
	l := &Load{file: file, stop: make(chan struct{})}
	var ok bool
	if l.idle, ok = l.read(); !ok {
		file.Close()
		return nil
	}
	go l.watch()
	return l
}

// Stop ends the measurement.
func (l *Load) Stop() {
	if l != nil {
		close(l.stop)
	}
}

func (l *Load) watch() {
	defer l.file.Close()
	ticker := time.NewTicker(loadInterval)
	defer ticker.Stop()
	measured := time.Now()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		idle, ok := l.read()
		now := time.Now()
		l.isHigh.Store(!ok || idle-l.idle < idleShare*now.Sub(measured).Seconds())
		l.idle, measured = idle, now
	}
}

// read returns for how many seconds the cores have been idle, all together: proc_uptime(5).
func (l *Load) read() (idle float64, ok bool) {
	text := make([]byte, 64) // it has one line of about 20 bytes
	n, _ := l.file.ReadAt(text, 0)
	_, field, _ := bytes.Cut(bytes.TrimSpace(text[:n]), []byte(" "))
	idle, err := strconv.ParseFloat(string(field), 64)
	return idle, err == nil
}
