package tool

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/record"
)

// Tool is one of the six programs.
type Tool struct {
	Name     string
	Usage    string // one line: what it does
	Operands string // as in the synopsis
	Text     string // more of --help
	Exits    string // exit codes in --help that only this tool has, such as "4 --fail-late"
	Flags    []cli.Flag
	// Run does the work. It ends soon after the context of the run is cancelled.
	Run func(*Run) error
}

// Streams are what a run reads and writes besides files.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs the tool as this process and ends it. SIGPIPE would end it before it could
// clean up, so it is ignored: the write fails instead.
func Main(tool *Tool) {
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(tool.Execute(os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
}

// Execute runs the tool with its arguments and returns the exit code.
func (t *Tool) Execute(arguments []string, streams Streams) int {
	r := newRun(t, streams)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	r.Context = ctx
	stop := r.catchSignals(cancel)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.start(arguments) }()
	return r.end(r.wait(ended))
}

// start parses the arguments and runs the tool.
func (r *Run) start(arguments []string) error {
	flags, err := r.tool.parse(arguments)
	switch {
	case err != nil:
		return err
	case flags.Bool("help"):
		return r.tool.writeHelp(r.Out)
	case flags.Bool("version"):
		return r.tool.writeVersion(r.Out)
	}
	r.Flags = flags
	if err := r.apply(); err != nil {
		return err
	}
	return r.tool.Run(r)
}

// Version is the version of the module as it was built.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// grace is how long after a signal no byte may move before the runner gives a run up. A
// read from a silent pipe never ends.
const grace = time.Second

// wait waits for the end of the run.
func (r *Run) wait(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-r.Context.Done():
	}
	if r.drains.Load() {
		select {
		case err := <-ended:
			return err
		case <-r.hurried:
		}
	}
	tick := time.NewTicker(grace / 20)
	defer tick.Stop()
	for moved, since := r.moved(), time.Now(); time.Since(since) < grace; {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			if now := r.moved(); now != moved {
				moved, since = now, time.Now()
			}
		}
	}
	return context.Cause(r.Context)
}

// end reports how the run went, cleans up and returns the exit code.
func (r *Run) end(err error) int {
	code := r.exitCode(err)
	if summarize := r.summarize.Load(); summarize != nil {
		r.Report.Event((*summarize)(record.Summary{
			Event: "summary", Tool: r.tool.Name, Exit: code, Seconds: time.Since(r.started).Seconds(),
		}))
	}
	var signalled signalError
	switch {
	case err == nil, errors.Is(err, ErrReported):
	case errors.Is(err, syscall.EPIPE): // nobody is left to read
	case code > 128 && (errors.Is(err, context.Canceled) || errors.As(err, &signalled)):
	default:
		r.Messages.fail(err)
	}
	r.Progress.Finish()
	r.cleanUp()
	if err := r.Report.close(); err != nil {
		r.Messages.Errorf("report: %w", err)
		if code == ExitDone || code == ExitDamaged {
			code = ExitFailed
		}
	}
	return code
}
