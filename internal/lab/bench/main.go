//go:build linux

// Bench compares the tools with other programs that do the same. scripts/bench runs it, in the folder
// of the project.
//
// A contest measures contenders in turn, prints the medians and checks claims about them.
// Inputs are made once, and outputs are checked before anything is timed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"syscall"

	"pcap-replay/internal/lab"
)

// subject is something that can be measured.
type subject struct {
	name   string
	onWire bool // in a network namespace
	run    func(*bench)
}

var subjects = []subject{
	{"map", false, benchMap},
	{"merge", false, benchMerge},
	{"pipe", true, benchPipe},
	{"archive", false, benchArchive},
	{"send", true, benchSend},
	{"timing", true, benchTiming},
}

func main() {
	o, err := parseOptions(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fail(err, 2)
	case o.setup:
		err = install()
	case slices.ContainsFunc(o.subjects, func(s subject) bool { return s.onWire }) && !lab.Inside():
		err = isolate(o)
	default:
		err = measure(o)
	}
	if err != nil {
		fail(err, 1)
	}
}

func fail(err error, code int) {
	var child *exec.ExitError
	if errors.As(err, &child) { // which has said why
		os.Exit(child.ExitCode())
	}
	fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
	os.Exit(code)
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", values...)
}

// isolate runs the whole again in a network namespace of its own, which ends with it.
// Without one, what needs it is left out.
func isolate(o options) error {
	runtime.LockOSThread() // the child dies with the thread that starts it
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	lab.Isolate(again)
	if err := again.Start(); lab.IsForbidden(err) {
		say("no network namespace: pipe, send and timing are left out")
		o.subjects = slices.DeleteFunc(o.subjects, func(s subject) bool { return s.onWire })
		return measure(o)
	} else if err != nil {
		return err
	}
	go func() {
		for received := range signals {
			_ = again.Process.Signal(received)
		}
	}()
	return again.Wait()
}

// measure runs what is asked for.
func measure(o options) error {
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.clean()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		received := (<-signals).(syscall.Signal)
		b.clean()
		os.Exit(128 + int(received))
	}()
	b.do(func() error { return describeMachine(o.ndjson, b.programs()) })
	fmt.Printf("%d runs each, medians; inputs of %s\n", o.runs, formatSize(o.size))
	for _, s := range o.subjects {
		s.run(b)
	}
	return b.err
}
