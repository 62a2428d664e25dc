package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"
)

// job is one run of a tool: its flags, its streams and how it speaks.
type job struct {
	tool *Tool
	Streams
	ctx     context.Context // cancelled by SIGINT and SIGTERM
	drains  atomic.Bool     // the run takes its time to come to its end then
	hurried chan struct{}   // closed by the next signal
	flags   *cli.Context
	started time.Time
	quiet   bool
	verbose bool

	report   *report
	progress *progress
	damaged  atomic.Bool                   // exit code 3
	counters atomic.Pointer[func() string] // one line for SIGUSR1

	settling sync.Once   // of how the run ends
	ended    signalError // by which, if a signal ends it

	speaking sync.Mutex // one message at a time

	bystanders bystanders

	cleaning sync.Mutex
	cleanups []func()
}

func newJob(tool *Tool, streams Streams) *job {
	return &job{tool: tool, Streams: streams, started: time.Now(), report: &report{}, progress: &progress{}, hurried: make(chan struct{})}
}

// commonFlags are those of every tool.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print errors only"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say what is done"},
		&cli.StringFlag{Name: "report", Usage: "write events and a summary as NDJSON to `FILE`, or to an open descriptor's number"},
		&cli.StringFlag{Name: "progress", Value: "auto", Usage: "draw progress on stderr: auto, always or never"},
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
	}
}

func (j *job) applyCommonFlags(arguments []string) error {
	if err := j.checkOperands(arguments); err != nil {
		return err
	}
	if err := j.checkValues(); err != nil {
		return err
	}
	j.quiet, j.verbose = j.flags.Bool("quiet"), j.flags.Bool("verbose")
	mode := j.flags.String("progress")
	if mode != "auto" && mode != "always" && mode != "never" {
		return usageErrorf("--progress %q: wanted auto, always or never", mode)
	}
	j.progress = newProgress(j, mode)
	if name := j.flags.String("report"); name != "" {
		r, err := openReport(name, j.operands(), j.progress)
		if err != nil {
			return usageErrorf("--report %w", namedError(name, err))
		}
		j.report = r
	}
	return nil
}

// checkValues refuses flags without a value, which an unset variable of the shell
// makes. Only what chooses may be empty, and then chooses all.
func (j *job) checkValues() error {
	for _, name := range j.flags.FlagNames() {
		if value, ok := j.flags.Value(name).(string); ok && value == "" && !slices.Contains([]string{"filter", "match", "suffix"}, name) {
			return usageErrorf("%s \"\": wanted a value", dashed(name))
		}
	}
	return nil
}

// checkOperands finds flags behind operands: the flag package would take them
// for file names. What stands behind "--" is an operand.
func (j *job) checkOperands(arguments []string) error {
	operands := j.flags.Args().Slice()
	before := len(arguments) - len(operands) - 1
	if before >= 0 && arguments[before] == "--" {
		return nil
	}
	for _, operand := range operands {
		if operand == "--" {
			return nil
		}
		if strings.HasPrefix(operand, "-") && operand != "-" {
			return usageErrorf("flag %q after an operand", operand).
				withHint("flags come before operands; after \"--\" every argument is an operand")
		}
	}
	return nil
}

// operands are the arguments behind the flags.
func (j *job) operands() []string { return j.flags.Args().Slice() }

// setCounters says how SIGUSR1 is answered. The function may be called at any
// time from another goroutine.
func (j *job) setCounters(line func() string) { j.counters.Store(&line) }

func (j *job) printCounters() {
	if line := j.counters.Load(); line != nil {
		j.say((*line)())
	}
}

// onEnd has clean called when the run ends, however it ends.
func (j *job) onEnd(clean func()) {
	j.cleaning.Lock()
	defer j.cleaning.Unlock()
	j.cleanups = append(j.cleanups, clean)
}

func (j *job) cleanUp() {
	j.cleaning.Lock()
	defer j.cleaning.Unlock()
	for i := len(j.cleanups) - 1; i >= 0; i-- {
		j.cleanups[i]()
	}
	j.cleanups = nil
}

// say prints "pcap-merge: text" above the progress line.
func (j *job) say(text string) {
	j.speaking.Lock()
	defer j.speaking.Unlock()
	fmt.Fprintf(j.progress.over(j.Err), "%s: %s\n", j.tool.Name, text)
}

// infof speaks with --verbose only.
func (j *job) infof(format string, values ...any) {
	if j.verbose {
		j.say(fmt.Sprintf(format, values...))
	}
}

// warnf says what does not change the exit code.
func (j *job) warnf(format string, values ...any) {
	if !j.quiet {
		j.say("warning: " + fmt.Sprintf(format, values...))
	}
}

// errorf says what does, and goes on.
func (j *job) errorf(format string, values ...any) {
	j.say("error: " + fmt.Errorf(format, values...).Error())
}

// fail says what ended the run.
func (j *job) fail(err error) {
	j.say("error: " + err.Error())
	var hinted *hintError
	var usage *usageError
	switch {
	case errors.As(err, &usage) && usage.hint != "":
		j.say("hint: " + usage.hint)
	case errors.As(err, &hinted):
		j.say("hint: " + hinted.hint)
	}
}

// isTerminal says whether a stream is one. Tests hand in buffers.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && fileIsTerminal(file)
}

// readStdin gives stdin for the operand "-", unless a person sits at it.
func (j *job) readStdin() (io.Reader, error) {
	if isTerminal(j.In) {
		return nil, usageErrorf("stdin is a terminal").withHint("name a file, or pipe a capture in")
	}
	enlargePipe(j.In)
	return j.In, nil
}
