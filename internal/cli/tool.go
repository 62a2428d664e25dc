// Package cli is the six tools as their users meet them: flags, messages, exit
// codes, signals, progress and reports. One file holds each tool; the manners
// that they share have the others. The work itself is in the engines below.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

// Exit codes. A run ended by a signal exits with 128 and the signal's number.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitDamaged = 3 // done, but some input was damaged or some packets could not be sent
	exitLate    = 4 // pcap-inject --fail-late
)

// signalGrace is how long a run may take to end by itself after a signal. A
// read that blocks on a silent pipe never ends.
const signalGrace = 2 * time.Second

// Tool is one of the six programs.
type Tool struct {
	Name     string
	Usage    string // one line: what it does
	Operands string // as in the synopsis
	Text     string // more of --help
	Flags    []cli.Flag
	Run      func(*job) error
}

// Streams are what a run reads and writes besides files.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs tool as this process and ends it. SIGPIPE would end it before it could
// clean up: a write fails instead.
func Main(tool *Tool) {
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(Run(tool, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
}

// Run runs tool with its arguments and returns the exit code.
func Run(tool *Tool, arguments []string, streams Streams) int {
	j := newJob(tool, streams)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	j.ctx = ctx
	stop := j.catchSignals(cancel)
	defer stop()

	ended := make(chan error, 1)
	go func() { ended <- j.runApp(arguments) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-j.graceIsOver():
			err = context.Cause(ctx)
		}
	}
	return j.end(err)
}

// graceIsOver comes when a run that was told to end has to.
func (j *job) graceIsOver() <-chan struct{} {
	if j.drains.Load() {
		return j.hurried
	}
	over := make(chan struct{})
	time.AfterFunc(signalGrace, func() { close(over) })
	return over
}

// helpTemplate is what --help prints.
const helpTemplate = `{{.Name}} - {{.Usage}}

usage: {{.UsageText}}

{{wrap .Description 0}}

flags:{{range .VisibleFlags}}
   {{.}}{{end}}

exit codes: 0 done; 1 failed; 2 usage; 3 done, but some input was damaged or some
packets could not be sent{{if eq .Name "pcap-inject"}}; 4 --fail-late{{end}}. More in {{.Name}}(1).
`

// allFlags are the tool's own and the common ones.
func (t *Tool) allFlags() []cli.Flag {
	flags := slices.Concat(t.Flags, commonFlags())
	for _, flag := range flags {
		if flag, ok := flag.(*cli.BoolFlag); ok {
			flag.DisableDefaultText = true // it is off, as every flag is that is not given
		}
	}
	return flags
}

// runApp parses the arguments and runs the tool.
func (j *job) runApp(arguments []string) error {
	tool := j.tool
	out := &printer{Writer: j.Out}
	app := &cli.App{
		Name:                      tool.Name,
		Usage:                     tool.Usage,
		UsageText:                 strings.TrimSpace(tool.Name + " [flags] " + tool.Operands),
		Description:               tool.Text,
		Flags:                     tool.allFlags(),
		CustomAppHelpTemplate:     helpTemplate,
		HideHelpCommand:           true,
		HideVersion:               true, // -v is --verbose
		UseShortOptionHandling:    true,
		DisableSliceFlagSeparator: true, // a comma is part of a regular expression
		Writer:                    out,
		ErrWriter:                 io.Discard, // every message is ours
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return asUsageError(err, arguments) },
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				fmt.Fprintf(out, "%s %s\n", tool.Name, Version())
				return nil
			}
			j.flags = c
			if err := j.applyCommonFlags(arguments); err != nil {
				return err
			}
			return tool.Run(j)
		},
	}
	return errors.Join(app.Run(append([]string{tool.Name}, arguments...)), out.err)
}

// printer keeps the error of printing help, which the flag package drops.
type printer struct {
	io.Writer
	err error
}

func (p *printer) Write(text []byte) (int, error) {
	n, err := p.Writer.Write(text)
	if err != nil {
		p.err = namedError("stdout", err)
	}
	return n, err
}

// invalidValue is what the flag package says of one, and of what kind it is.
var invalidValue = regexp.MustCompile(`(?s)^invalid (boolean )?value (".*") for(?: flag)? -+([^ :]+): `)

// asUsageError puts what the flag package says of arguments into our words.
func asUsageError(err error, arguments []string) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return usageErrorf("unknown flag %q", asTyped(name, arguments)).withHint("--help lists the flags")
	}
	if parts := invalidValue.FindStringSubmatch(text); parts != nil {
		if parts[1] != "" {
			return usageErrorf("%s takes no value, such as %s", dashed(parts[3]), parts[2])
		}
		return usageErrorf("%s %s: wanted a whole number", dashed(parts[3]), parts[2])
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return usageErrorf("flag %q needs a value", dashed(strings.TrimPrefix(name, "-")))
	}
	return usageErrorf("%s", text)
}

// asTyped finds the argument that the flag package took for a flag of this name.
func asTyped(name string, arguments []string) string {
	for _, argument := range arguments {
		if flag, _, _ := strings.Cut(argument, "="); strings.HasPrefix(flag, "-") && strings.TrimLeft(flag, "-") == strings.TrimLeft(name, "-") {
			return flag
		}
	}
	return dashed(name)
}

func dashed(name string) string {
	name = strings.TrimLeft(name, "-")
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// Version is the version of the module as it was built.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// signalError is the cause of a run ended by a signal.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return e.signal.String() }

// catchSignals cancels the run on the first SIGINT or SIGTERM; the second one
// kills, or ends a run that drains. SIGHUP cancels, too, unless nohup(1) stands
// before: of a terminal that goes away several come, and all mean the same.
// countersSignals print the counters.
func (j *job) catchSignals(cancel context.CancelCauseFunc) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, slices.Concat(countersSignals, []os.Signal{syscall.SIGINT, syscall.SIGTERM})...)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if slices.Contains(countersSignals, s) {
					j.printCounters()
					continue
				}
				switch {
				case !j.drains.Load():
					signal.Reset(syscall.SIGINT, syscall.SIGTERM)
				case j.ctx.Err() != nil && s != syscall.SIGHUP:
					signal.Reset(syscall.SIGINT, syscall.SIGTERM)
					close(j.hurried)
				}
				cancel(signalError{s.(syscall.Signal)})
			}
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}

// end settles what is left over and turns the outcome of a run into its exit code.
func (j *job) end(err error) int {
	code := j.exitCode(err)
	j.progress.finish()
	j.cleanUp()
	if err := j.report.close(); err != nil {
		j.errorf("report: %w", err)
		if code == exitDone || code == exitDamaged {
			code = exitFailed
		}
	}
	return code
}

// exitCode prints what went wrong, if it was not said before.
func (j *job) exitCode(err error) int {
	code := j.exitSoFar(err)
	var signal signalError
	switch {
	case err == nil, errors.Is(err, errReported):
	case errors.Is(err, syscall.EPIPE): // nobody is left to read
	case code > 128 && (errors.Is(err, context.Canceled) || errors.As(err, &signal)):
	default:
		j.fail(err)
	}
	return code
}

// exitSoFar is the exit code of a run with this outcome, for its summary and its end.
// A signal that comes after it was first asked for comes too late.
func (j *job) exitSoFar(err error) int {
	j.settling.Do(func() { errors.As(context.Cause(j.ctx), &j.ended) })
	var usage *usageError
	switch {
	case j.ended.signal != 0:
		return 128 + int(j.ended.signal)
	case err == nil && j.damaged.Load():
		return exitDamaged
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errLate):
		return exitLate
	case errors.Is(err, syscall.EPIPE):
		return 128 + int(syscall.SIGPIPE) // as a filter that SIGPIPE ends
	}
	return exitFailed
}
