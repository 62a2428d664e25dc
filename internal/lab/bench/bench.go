//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"pcap-replay/internal/lab"
)

// bench is a run. It works in a folder with the inputs, whose names are short in commands.
// After the first error, its methods do nothing.
type bench struct {
	options
	err    error
	work   string    // everything that is made
	server *exec.Cmd // sshd, if there is one
	once   sync.Once // for clean

	tcpreplays []tcpreplay
}

// scratch is a folder beside the inputs, for what is removed at the end.
const scratch = "../scratch"

// tcpreplay is one that takes part.
type tcpreplay struct{ name, path string }

// newBench makes the folder and the tools, and goes to the folder.
func newBench(o options) (*bench, error) {
	b := &bench{options: o}
	if o.bin == "" {
		make := exec.Command("make", "-s", "all")
		make.Stdout, make.Stderr = os.Stderr, os.Stderr
		if err := make.Run(); err != nil {
			return nil, fmt.Errorf("make all: %w", err)
		}
		folder, err := filepath.Abs("bin")
		if err != nil {
			return nil, err
		}
		o.bin = folder
	}
	if err := os.Setenv("PATH", o.bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return nil, err
	}
	b.tcpreplays = []tcpreplay{{"tcpreplay", "tcpreplay"}}
	if o.tcpreplay != "" {
		name := "tcpreplay-" + regexp.MustCompile(`\d[\w.]*|$`).FindString(version(o.tcpreplay))
		b.tcpreplays = append(b.tcpreplays, tcpreplay{name, o.tcpreplay})
	}
	var err error
	if b.work = o.keep; b.work == "" {
		if b.work, err = os.MkdirTemp("", "pcap-replay-bench-"); err != nil {
			return nil, err
		}
	}
	inputs := filepath.Join(b.work, fmt.Sprint("size-", o.size))
	return b, errors.Join(os.MkdirAll(filepath.Join(b.work, "scratch"), 0o777), os.MkdirAll(inputs, 0o777), os.Chdir(inputs))
}

// programs are those whose versions belong to the results.
func (b *bench) programs() []string {
	programs := []string{"pcap-inject", "capinfos", "mergecap", "tcpslice", "tar", "pigz"}
	for _, t := range b.tcpreplays {
		programs = append(programs, t.path)
	}
	return programs
}

// clean removes what need not stay.
func (b *bench) clean() {
	b.once.Do(func() {
		if b.server != nil {
			_ = b.server.Process.Kill()
		}
		remove := []string{filepath.Join(b.work, "scratch"), filepath.Join(b.work, "ssh")}
		if b.keep == "" {
			remove = []string{b.work}
		}
		for _, folder := range remove {
			if err := os.RemoveAll(folder); err != nil {
				say("%v", err)
			}
		}
	})
}

// do takes a step, unless one before has failed.
func (b *bench) do(step func() error) {
	if b.err == nil {
		b.err = step()
	}
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// bash is a step that runs a pipeline.
func bash(pipeline string) func() error {
	return func() error { _, err := shell(pipeline); return err }
}

// make makes an input once, whole or not at all. how gets the name to write to.
func (b *bench) make(name string, how func(name string) error) {
	b.do(func() error {
		if _, err := os.Stat(name); err == nil {
			return nil
		}
		say("making %s", name)
		part := name + ".part"
		return errors.Join(os.RemoveAll(part), how(part), os.Rename(part, name))
	})
}

// discard removes inputs that are not needed any more.
func (b *bench) discard(patterns ...string) {
	if b.keep != "" {
		return
	}
	for _, pattern := range patterns {
		b.do(func() error {
			names, err := filepath.Glob(pattern)
			for _, name := range names {
				err = errors.Join(err, os.RemoveAll(name))
			}
			return err
		})
	}
}

// rested is the pipeline before what writes much: it is timed when the disk is at rest and
// the kernel has memory at hand. A virtual machine that has to ask its host for pages writes
// 2 GiB in 1.8 s instead of .4, whoever asks.
func (b *bench) rested() string {
	return fmt.Sprintf("sync; head -c %d /dev/zero > %s/pages; rm %s/pages", b.size*3/2, scratch, scratch)
}

// same expects that two outputs are the same, and not empty.
func (b *bench) same(what string, one, other func() (string, error)) {
	b.do(func() error {
		a, err := one()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		z, err := other()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if a == "" || a != z {
			return fmt.Errorf("%s: differs:\n%.2000s\n%.2000s", what, a, z)
		}
		return nil
	})
}

// said is what a pipeline prints.
func said(pipeline string) func() (string, error) {
	return func() (string, error) {
		text := new(strings.Builder)
		err := readOutput(pipeline, func(r io.Reader) error { _, err := io.Copy(text, r); return err })
		return text.String(), err
	}
}

// digested is a digest of the capture that a pipeline prints.
func digested(pipeline string) func() (string, error) {
	return func() (text string, err error) {
		err = readOutput(pipeline, func(r io.Reader) error { text, err = digest(r); return err })
		return text, err
	}
}

// packetsOf counts the packets of captures with pcap-map.
func (b *bench) packetsOf(captures string) (packets int64) {
	b.do(func() error {
		return readOutput("pcap-map "+captures, func(r io.Reader) error {
			for records := json.NewDecoder(r); ; {
				var capture struct{ Packets int64 }
				if err := records.Decode(&capture); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				packets += capture.Packets
			}
		})
	})
	return packets
}

// The two ends of a veth pair.
const sendingEnd, receivingEnd = "wire0", "wire1"

// makeWire makes the veth pair, unless it is there.
func (b *bench) makeWire() {
	if _, err := readCounters(sendingEnd); err != nil {
		b.do(func() error { return lab.Pair(sendingEnd, receivingEnd) })
	}
}

// mayOpen says that this user may open so many files.
func mayOpen(files uint64) bool {
	var limit syscall.Rlimit
	return syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil && limit.Max >= files
}
