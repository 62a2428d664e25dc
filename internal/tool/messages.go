package tool

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"pcap-replay/internal/files"
)

// Messages prints messages for people on stderr. It is safe for concurrent use. The zero
// value is silent.
type Messages struct {
	name    string // of the tool, before each line
	erase   string // before the name, on a terminal: clears the line
	quiet   bool
	verbose atomic.Bool

	mutex sync.Mutex // one message at a time; held as long as stderr does not accept it
	dst   io.Writer

	// unheard means that a message was lost because stderr was closed from the beginning.
	unheard atomic.Bool
	errors  atomic.Bool
}

func (m *Messages) configure(quiet, verbose bool, dst io.Writer) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.quiet, m.dst = quiet, dst
	m.verbose.Store(verbose)
}

// Say prints "pcap-merge: text" as one line. It escapes control characters, which may be in
// arguments that the text quotes.
func (m *Messages) Say(text string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.dst != nil {
		_, err := fmt.Fprintf(m.dst, "%s%s: %s\n", m.erase, m.name, files.EscapeControls(text))
		if errors.Is(err, errClosed) {
			m.unheard.Store(true)
		}
	}
}

// Infof prints a message only with --verbose.
func (m *Messages) Infof(format string, values ...any) {
	if m.isVerbose() {
		m.Say(fmt.Sprintf(format, values...))
	}
}

// Warnf prints a warning, which does not change the exit code. --quiet suppresses it.
func (m *Messages) Warnf(format string, values ...any) {
	if !m.quiet {
		m.Say("warning: " + fmt.Sprintf(format, values...))
	}
}

// Errorf prints an error after which the run continues. The exit code becomes 3.
func (m *Messages) Errorf(format string, values ...any) {
	m.MarkError()
	m.Say("error: " + fmt.Errorf(format, values...).Error())
}

// MarkError makes the exit code 3 without a message.
func (m *Messages) MarkError() { m.errors.Store(true) }

// HaveErrors reports whether Errorf or MarkError was called.
func (m *Messages) HaveErrors() bool { return m.errors.Load() }

// Quiet reports whether only errors are printed.
func (m *Messages) Quiet() bool { return m.quiet }

// fail prints the error that ended the run, and its hint.
func (m *Messages) fail(err error) {
	m.Say("error: " + err.Error())
	m.HintOf(err)
}

// isUnheard reports whether a message was lost because stderr was closed.
func (m *Messages) isUnheard() bool { return m.unheard.Load() }

// HintOf prints the hint of an error that was reported, if it has one.
func (m *Messages) HintOf(err error) { m.Hint(hintOf(err)) }

// Hint prints what to do about the last error.
func (m *Messages) Hint(text string) {
	if text != "" {
		m.Say("hint: " + text)
	}
}

// HintWarning prints what to do about the last warning.
func (m *Messages) HintWarning(text string) {
	if !m.quiet {
		m.Hint(text)
	}
}

// isVerbose reports whether --verbose was given. It may be called while flags are parsed.
func (m *Messages) isVerbose() bool { return m.verbose.Load() }

// maxDump is the maximum size of a dump of all goroutines in bytes.
const maxDump = 1 << 20

// dumpGoroutines prints the stacks of all goroutines, for bug reports. stderr may not accept
// them.
func (m *Messages) dumpGoroutines() {
	stacks := make([]byte, maxDump)
	stacks = stacks[:runtime.Stack(stacks, true)]
	m.mutex.Lock()
	defer m.mutex.Unlock()
	_, _ = m.dst.Write(append(stacks, '\n'))
}
