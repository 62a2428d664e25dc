package tool

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/privilege"
)

// Tool is one of the six programs.
type Tool struct {
	Name     string
	Usage    string // one line: what it does
	Operands string // for the synopsis
	Text     string // description in --help
	Exits    string // continues the exit codes in --help, for what only this tool has
	Flags    []cli.Flag
	// DropsPrivileges means that the tool gives up the privileges for sending itself, after
	// it has used them and before it reads an input.
	DropsPrivileges bool
	// InputOperands returns the operands that are files. nil means all of them.
	InputOperands func(operands []string) []string
	// SideOutputs returns the files that the run writes besides those that flags name. nil
	// means none.
	SideOutputs func(*Flags) []string
	// Run does the work. It must end soon after the context of the run is cancelled.
	Run func(*Run) error
}

// Streams are stdin, stdout and stderr of a run.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs the tool as this process and ends it. SIGPIPE would end it before it could
// clean up, so it is ignored: the write fails instead.
func Main(tool *Tool) {
	signal.Ignore(syscall.SIGPIPE)
	messages := &Messages{name: tool.Name, dst: os.Stderr}
	if err := privilege.IgnoreRuntimeVariables(); err != nil {
		messages.fail(err)
		os.Exit(ExitFailed)
	}
	// Signals are caught from here on, and stay caught: otherwise, SIGQUIT would print goroutines
	// and change the exit code. Before, a signal that is caught could be lost by an exec.
	r := newRun(tool, Streams{os.Stdin, os.Stdout, os.Stderr}.withoutClosed(closedAtStart))
	r.ownsProcess = true
	r.begin()
	drop := privilege.KeepFileAccess
	if tool.DropsPrivileges {
		drop = privilege.KeepSending // flags are read now, and the file of --filter-file is
	}
	if err := drop(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		messages.Warnf("cannot drop privileges: %v", err)
	}
	os.Exit(r.execute(os.Args[1:]))
}

// Execute runs the tool with its arguments and returns the exit code.
func (t *Tool) Execute(arguments []string, streams Streams) int {
	r := newRun(t, streams)
	defer r.begin()()
	return r.execute(arguments)
}

// begin makes the context of the run, which signals cancel, until stop is called.
func (r *Run) begin() (stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r.Context = ctx
	stopCatching := r.catchSignals(cancel)
	return func() { stopCatching(); cancel(nil) }
}

// execute runs the tool.
func (r *Run) execute(arguments []string) (code int) {
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
