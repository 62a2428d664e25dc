//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// usage is what a command took, all processes of a pipeline together.
type usage struct {
	wall, cpu time.Duration
	peak      int64 // bytes, of the largest process
}

// shell runs a pipeline of bash. One that fails is an error that quotes what it
// said.
func shell(pipeline string) (u usage, err error) {
	command := exec.Command("bash", "-o", "pipefail", "-c", pipeline)
	var messages bytes.Buffer
	command.Stderr = &messages
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	forgetPeak()
	start := time.Now()
	err = command.Run()
	u.wall = time.Since(start)
	if err != nil {
		return u, fmt.Errorf("%s: %w\n%s", pipeline, err, strings.TrimSpace(messages.String()))
	}
	u.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	u.peak = int64(command.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) << 10
	return u, nil
}

// forgetPeak makes the peak of the memory of this process what it has now: proc_pid_clear_refs(5).
// The kernel counts it as that of the commands that the process starts.
func forgetPeak() {
	debug.FreeOSMemory()
	const peak = "5"
	_ = os.WriteFile("/proc/self/clear_refs", []byte(peak), 0)
}

// readOutput runs a pipeline of bash and has its output read.
func readOutput(pipeline string, read func(io.Reader) error) error {
	command := exec.Command("bash", "-o", "pipefail", "-c", pipeline)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	err = read(output)
	if ended := command.Wait(); ended != nil {
		return fmt.Errorf("%s: %w", pipeline, ended)
	}
	return err
}

// keepBusy runs n endless loops beside what is measured, until stop is called.
func keepBusy(n int) (stop func(), err error) {
	var loops []*exec.Cmd
	stop = func() {
		for _, loop := range loops {
			_ = loop.Process.Kill()
			_ = loop.Wait()
		}
	}
	for range n {
		loop := exec.Command("bash", "-c", "while :; do :; done")
		if err := loop.Start(); err != nil {
			stop()
			return nil, err
		}
		loops = append(loops, loop)
	}
	return stop, nil
}

// waitForQuiet waits until the processors are nine tenths idle, up to limit.
func waitForQuiet(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		idle, all := processorTime()
		time.Sleep(300 * time.Millisecond)
		laterIdle, laterAll := processorTime()
		if (laterIdle-idle)*10 >= (laterAll-all)*9 {
			return
		}
	}
}

// processorTime reads the first line of /proc/stat: proc_stat(5).
func processorTime() (idle, all int64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	var field [8]int64
	_, _ = fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d",
		&field[0], &field[1], &field[2], &field[3], &field[4], &field[5], &field[6], &field[7])
	for _, ticks := range field {
		all += ticks
	}
	return field[3] + field[4], all
}
