package tool

import (
	"flag"
	"strings"

	"github.com/urfave/cli/v2"
)

// ListFlag is a flag that may be repeated: [Flags.Strings] reads it. That of urfave/cli splits
// a value at its commas, which may be part of regular expressions and names. It also encodes
// lists in JSON, which makes each tool a quarter of a megabyte larger.
type ListFlag struct{ cli.StringFlag }

// NewListFlag returns a flag with these names.
func NewListFlag(name, usage string, aliases ...string) *ListFlag {
	return &ListFlag{cli.StringFlag{Name: name, Aliases: aliases, Usage: usage}}
}

// Apply implements cli.Flag.
func (f *ListFlag) Apply(set *flag.FlagSet) error {
	values := &stringList{}
	for _, name := range f.Names() {
		set.Var(values, name, f.Usage)
	}
	return nil
}

// IsSliceFlag implements cli.DocGenerationSliceFlag: the help says that it may be repeated.
func (f *ListFlag) IsSliceFlag() bool { return true }

// String returns the line of the help.
func (f *ListFlag) String() string { return cli.FlagStringer(f) }

// stringList is the value of a ListFlag.
type stringList []string

func (l *stringList) String() string         { return strings.Join(*l, " ") }
func (l *stringList) Set(value string) error { *l = append(*l, value); return nil }
