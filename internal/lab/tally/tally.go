package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json: go doc test2json. Of a build, which has no package,
// only the output is of interest.
type event struct {
	Action, Package, Test, Output string
}

// name is a test of a package. The package itself has no test.
type name struct{ pkg, test string }

// tally is what the tests did.
type tally struct {
	passed, skipped int
	reasons         map[string]int // how often a test was skipped for each
	failed          bool

	printed map[name][]string // lines of the tests that run
}

// read takes in the events of go test -json and prints the output of what fails.
func (t *tally) read(events io.Reader, out io.Writer) error {
	t.reasons, t.printed = map[string]int{}, map[name][]string{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			t.take(line, out)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the output of go test: %w", err)
		}
	}
}

func (t *tally) take(line string, out io.Writer) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(out, line) // go test itself has something to say
		return
	}
	test := name{e.Package, e.Test}
	switch {
	case e.Action == "output" && e.Test != "":
		if !strings.HasPrefix(e.Output, "=== ") {
			t.printed[test] = append(t.printed[test], e.Output)
		}
	case e.Action == "output" || e.Action == "build-output":
		if isOfInterest(e.Output) {
			fmt.Fprint(out, e.Output)
		}
	case e.Test != "":
		t.end(test, e.Action, out)
	case e.Action == "fail":
		t.failed = true
		t.printUnfinished(e.Package, out)
	}
}

// isOfInterest reports whether a line that belongs to a package, and to no test of it, is to
// be printed.
func isOfInterest(line string) bool {
	withoutTests := strings.HasPrefix(line, "?   \t") || strings.HasPrefix(line, "\t")
	return line != "PASS\n" && line != "FAIL\n" && !withoutTests
}

// end counts a test that has ended, and prints what it said if it failed.
func (t *tally) end(test name, action string, out io.Writer) {
	switch action {
	case "pass":
		t.passed++
	case "skip":
		t.skipped++
		t.reasons[skipReason(t.printed[test])]++
	case "fail":
		t.failed = true
		fmt.Fprint(out, strings.Join(t.printed[test], ""))
	default: // it runs, pauses or goes on
		return
	}
	delete(t.printed, test)
}

// printUnfinished prints what tests said that the end of their process cut off.
func (t *tally) printUnfinished(pkg string, out io.Writer) {
	byTest := func(a, b name) int { return cmp.Compare(a.test, b.test) }
	for _, test := range slices.SortedFunc(maps.Keys(t.printed), byTest) {
		if test.pkg == pkg {
			fmt.Fprintf(out, "--- UNFINISHED: %s\n%s", test.test, strings.Join(t.printed[test], ""))
			delete(t.printed, test)
		}
	}
}

// logLine is what T.Log and T.Skip print.
var logLine = regexp.MustCompile(`^ +[^ :]+\.go:\d+: (.*)\n`)

// skipReason is the last line that a test logged before it was skipped. The name of the
// folder that testscript works in is none.
func skipReason(lines []string) string {
	for _, line := range slices.Backward(lines) {
		if m := logLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "WORK=") {
			return m[1]
		}
	}
	return "no reason given"
}

// conclude prints the last line and gives the exit code. The most frequent reasons for
// skipping come first.
func (t *tally) conclude(out, messages io.Writer, strict bool) (code int) {
	byCount := func(a, b string) int { return cmp.Or(t.reasons[b]-t.reasons[a], strings.Compare(a, b)) }
	var list []string
	for _, reason := range slices.SortedFunc(maps.Keys(t.reasons), byCount) {
		list = append(list, fmt.Sprintf("%d: %s", t.reasons[reason], reason))
	}
	fmt.Fprintf(out, "%d passed, %d skipped", t.passed, t.skipped)
	if len(list) > 0 {
		fmt.Fprintf(out, " (%s)", strings.Join(list, ", "))
	}
	fmt.Fprintln(out)
	if strict && t.skipped > 0 {
		fmt.Fprintln(messages, "test: skipped tests are errors with CI=true")
		return 1
	}
	if t.failed {
		return 1
	}
	return 0
}
