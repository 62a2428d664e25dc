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
// sleep at times. In the class SCHED_DEADLINE, only threads that wait for a core have that
// effect, so on a quiet machine it need not sleep.
//
// SCHED_FIFO alone is not enough beside a busy process: it was late by up to 115 ms on Linux
// 6.18. Under SCHED_DEADLINE, the gap error beside two busy loops was at most 40 us
// (scripts/bench timing).
type RealtimeThread struct {
	pressure *Pressure // nil means that it always has to sleep
	measured int64     // when debt was last computed
	slept    int64     // ever, by then
	debt     int64     // how long it must still sleep; negative if it has slept more
}

const (
	// restShare is the share of the time in which a real-time thread sleeps. The kernel
	// gives 5 % to ordinary threads, but they run only for a part of each sleep.
	restShare = 0.1
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
// goroutine to it. pressure may be nil.
func EnterRealtime(pressure *Pressure) (*RealtimeThread, error) {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Flags: resetOnFork,
		Runtime: deadlinePeriod, Deadline: deadlinePeriod, Period: deadlinePeriod,
	}, 0)
	if err == nil {
		return &RealtimeThread{pressure: pressure}, nil
	}
	// A machine with one core, a process that may not use all cores, or many threads.
	err = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: fifoPriority}, 0)
	if err != nil {
		return nil, fmt.Errorf("real-time scheduling: %w", err)
	}
	return &RealtimeThread{}, nil
}

// isUndisturbed reports whether the thread may poll for a long time, because no other thread
// waits for a core.
func (t *RealtimeThread) isUndisturbed() bool {
	return t != nil && t.pressure != nil && !t.pressure.isHigh.Load()
}

// owed is how long the thread must still sleep. slept is how long it has slept ever.
func (t *RealtimeThread) owed(now, slept int64) int64 {
	if t.measured != 0 {
		t.debt += int64(restShare*float64(now-t.measured)) - (slept - t.slept)
		t.debt = min(max(t.debt, -maxCredit), maxDebt)
	}
	t.measured, t.slept = now, slept
	if t.isUndisturbed() {
		t.debt = min(t.debt, 0)
	}
	return t.debt
}

// Pressure tells whether threads wait for a core:
// https://docs.kernel.org/accounting/psi.html
type Pressure struct {
	isHigh atomic.Bool // until it is measured, too
	file   *os.File
	total  int64 // microseconds in which a thread waited for a core, ever
	stop   chan struct{}
}

const (
	// pressureInterval is how often the pressure is measured. A thread that does not sleep
	// for so long is not stopped yet: see RealtimeThread.
	pressureInterval = 100 * time.Millisecond
	// highPressure is the share of the time in which threads wait on a busy machine. It was
	// below 1 % on a quiet one.
	highPressure = 0.02
)

// WatchPressure measures the pressure until Stop is called. It returns nil if the kernel
// does not measure it.
func WatchPressure() *Pressure {
	file, err := os.Open("/proc/pressure/cpu")
	if err != nil {
		return nil
	}
	p := &Pressure{file: file, stop: make(chan struct{})}
	p.isHigh.Store(true)
	var ok bool
	if p.total, ok = p.read(); !ok {
		file.Close()
		return nil
	}
	go p.watch()
	return p
}

// Stop ends the measurement.
func (p *Pressure) Stop() {
	if p != nil {
		close(p.stop)
	}
}

func (p *Pressure) watch() {
	defer p.file.Close()
	ticker := time.NewTicker(pressureInterval)
	defer ticker.Stop()
	measured := time.Now()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		total, ok := p.read()
		now := time.Now()
		waited := time.Duration(total-p.total) * time.Microsecond
		p.isHigh.Store(!ok || waited.Seconds() > highPressure*now.Sub(measured).Seconds())
		p.total, measured = total, now
	}
}

// read returns the time in which a thread waited for a core, in microseconds.
func (p *Pressure) read() (total int64, ok bool) {
	text := make([]byte, 256) // it has two lines of 60 bytes
	n, _ := p.file.ReadAt(text, 0)
	line, _, _ := bytes.Cut(text[:n], []byte("\n"))
	_, field, _ := bytes.Cut(line, []byte("total="))
	total, err := strconv.ParseInt(string(field), 10, 64)
	return total, err == nil
}
