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

// Messages speaks to people on stderr. It is safe for concurrent use. The zero value is
// silent.
type Messages struct {
	name           string // of the tool, before each line
	erase          string // before that, on a terminal: what stands in the line
	quiet, verbose bool

	mutex sync.Mutex // one message at a time
	dst   io.Writer
	// unheard says that a message went to a stderr that was closed from the beginning.
	unheard bool

	errors atomic.Bool
}

func (m *Messages) configure(quiet, verbose bool, dst io.Writer) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.quiet, m.verbose, m.dst = quiet, verbose, dst
}

// Say prints "pcap-merge: text" as one line. What the text quotes of arguments does not
// control the terminal.
func (m *Messages) Say(text string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.dst != nil {
		_, err := fmt.Fprintf(m.dst, "%s%s: %s\n", m.erase, m.name, files.EscapeControls(text))
		m.unheard = m.unheard || errors.Is(err, errClosed)
	}
}

// Infof speaks with --verbose only.
func (m *Messages) Infof(format string, values ...any) {
	if m.verbose {
		m.Say(fmt.Sprintf(format, values...))
	}
}

// Warnf says what does not change the exit code. --quiet leaves it out.
func (m *Messages) Warnf(format string, values ...any) {
	if !m.quiet {
		m.Say("warning: " + fmt.Sprintf(format, values...))
	}
}

// Errorf says what is wrong while the run goes on: the exit code becomes 3.
func (m *Messages) Errorf(format string, values ...any) {
	m.MarkError()
	m.Say("error: " + fmt.Errorf(format, values...).Error())
}

// MarkError makes the exit code 3 without a message.
func (m *Messages) MarkError() { m.errors.Store(true) }

// HaveErrors says whether Errorf or MarkError was called.
func (m *Messages) HaveErrors() bool { return m.errors.Load() }

// Quiet says that only errors are wanted.
func (m *Messages) Quiet() bool { return m.quiet }

// fail says what ended the run, and the next thing to do.
func (m *Messages) fail(err error) {
	m.Say("error: " + err.Error())
	m.HintOf(err)
}

// isUnheard says whether a message could not be printed, since stderr was closed.
func (m *Messages) isUnheard() bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.unheard
}

// HintOf prints the hint of an error that was reported, if it has one.
func (m *Messages) HintOf(err error) {
	var hinted interface{ Hint() string } // of an engine, too
	if errors.As(err, &hinted) {
		m.Hint(hinted.Hint())
	}
}

// Hint says what to do about the error that was reported last.
func (m *Messages) Hint(text string) {
	if text != "" {
		m.Say("hint: " + text)
	}
}

// isVerbose says whether --verbose was given. It may be called while flags are parsed.
func (m *Messages) isVerbose() bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.verbose
}

// maxDump is how much of a dump of all goroutines is printed, in bytes.
const maxDump = 1 << 20

// dumpGoroutines prints what each goroutine does, for those who look for a fault.
func (m *Messages) dumpGoroutines() {
	stacks := make([]byte, maxDump)
	stacks = stacks[:runtime.Stack(stacks, true)]
	m.mutex.Lock()
	defer m.mutex.Unlock()
	_, _ = m.dst.Write(append(stacks, '\n'))
}

// Plural is a number of things for people.
func Plural(number int64, thing string) string {
	if number == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", number, thing)
}
