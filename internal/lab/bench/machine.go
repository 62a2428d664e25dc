//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is the head of a table: what was measured on, and what against.
type machine struct {
	Time      time.Time         `json:"time"`
	Processor string            `json:"processor"`
	Cores     int               `json:"cores"`
	Kernel    string            `json:"kernel"`
	Programs  map[string]string `json:"programs"`
}

// describeMachine prints the machine and the versions of programs, and appends the same to a
// file if one is named.
func describeMachine(ndjson string, programs []string) error {
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return err
	}
	m := machine{
		Time: time.Now().UTC(), Processor: processorName(), Cores: runtime.NumCPU(),
		Kernel:   unix.ByteSliceToString(kernel.Sysname[:]) + " " + unix.ByteSliceToString(kernel.Release[:]),
		Programs: map[string]string{},
	}
	fmt.Printf("%s, %d cores, %s, %s\n", m.Processor, m.Cores, m.Kernel, m.Time.Format(time.DateTime))
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			continue
		}
		m.Programs[program] = version(program)
		fmt.Printf("  %s: %s\n", program, m.Programs[program])
	}
	return appendLine(ndjson, m)
}

func processorName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	if name := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); name != nil {
		return string(name[1])
	}
	return runtime.GOARCH
}

// version is the first line with a number that a program says about itself, on
// whichever stream, or else its first line.
func version(program string) string {
	output, _ := exec.Command(program, "--version").CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	numbered := slices.IndexFunc(lines, func(line string) bool { return strings.ContainsAny(line, "0123456789") })
	return strings.TrimSpace(lines[max(numbered, 0)])
}

// appendLine adds a record to an NDJSON file, if one is named.
func appendLine(path string, value any) error {
	if path == "" {
		return nil
	}
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(append(line, '\n'))
	return err
}
