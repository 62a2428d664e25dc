package input

import (
	"errors"
	"fmt"
	"strings"

	"pcap-replay/internal/files"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/tool"
)

// String says which names are wanted, such as ` that matches --match "worker1"`.
func (n Names) String() string {
	var wanted []string
	if n.match != nil {
		wanted = append(wanted, fmt.Sprintf("--match %q", n.match))
	}
	if n.suffix != "" {
		wanted = append(wanted, fmt.Sprintf("--suffix %q", n.suffix))
	}
	if len(wanted) == 0 {
		return ""
	}
	return " that matches " + strings.Join(wanted, " and ")
}

// hint is what to write instead of a shell pattern.
func (n Names) hint() string {
	if n.match == nil {
		return ""
	}
	return tool.PatternHint(n.match.String())
}

// NoCapture is the error about a folder or a tarball in which nothing is wanted.
func (n Names) NoCapture() error {
	return tool.WithHint(errors.New("no capture"+n.String()), n.hint())
}

// NoCapture is the error of a run that has found nothing to read in its operands.
func NoCapture(operands []string, names Names) error {
	where := "stdin"
	if len(operands) > 0 {
		where = files.Display(operands[0], "")
	}
	if more := len(operands) - 1; more > 0 {
		where += fmt.Sprintf(" and %s", plural.Of(int64(more), "other operand"))
	}
	return fmt.Errorf("%s: %w", where, names.NoCapture())
}

// Empty reports a folder or a tarball in which nothing is wanted.
func (p *Problems) Empty(path string, names Names) { p.Failed(File{Path: path}, names.NoCapture()) }
