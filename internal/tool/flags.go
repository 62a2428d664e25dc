package tool

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/files"
)

// Flags are the flags and operands that were given.
type Flags struct {
	set   *flag.FlagSet
	given [][]string
}

// Tool is the name of the tool.
func (f *Flags) Tool() string { return f.set.Name() }

// Given are the flags of the command line, each with its value. Combined short flags are one.
func (f *Flags) Given() [][]string { return f.given }

// String is the value of a flag.
func (f *Flags) String(name string) string { return f.set.Lookup(name).Value.String() }

// value is the value of a flag, or "" if the tool has no such flag.
func (f *Flags) value(name string) string {
	if f.set.Lookup(name) == nil {
		return ""
	}
	return f.String(name)
}

// Bool reports whether a flag without a value is set.
func (f *Flags) Bool(name string) bool { return f.String(name) == "true" }

// Int64 is the value of a flag that is a number.
func (f *Flags) Int64(name string) int64 {
	n, _ := strconv.ParseInt(f.String(name), 0, 64) // parse has checked it
	return n
}

// Strings are the values of a flag that may be repeated.
func (f *Flags) Strings(name string) []string {
	return *f.set.Lookup(name).Value.(*stringList)
}

// IsSet reports whether a flag was given, by any of its names.
func (f *Flags) IsSet(name string) (given bool) {
	asked := f.set.Lookup(name)
	f.set.Visit(func(flag *flag.Flag) { given = given || flag.Value == asked.Value })
	return given
}

// Operands are the arguments that are not flags.
func (f *Flags) Operands() []string { return f.set.Args() }

// CheckConflicts refuses flags of which only one may be given.
func (f *Flags) CheckConflicts(groups [][]string) error {
	for _, group := range groups {
		given := slices.DeleteFunc(slices.Clone(group), func(name string) bool { return !f.IsSet(name) })
		if len(given) > 1 {
			return UsageErrorf("--%s and --%s: wanted one of them", given[0], given[1])
		}
	}
	return nil
}

// OneOf reads a flag that is one of a few words.
func (f *Flags) OneOf(name string, words []string) (string, error) {
	word := f.String(name)
	if !slices.Contains(words, word) {
		last := len(words) - 1
		return "", UsageErrorf("--%s %q: wanted %s or %s", name, word, strings.Join(words[:last], ", "), words[last])
	}
	return word, nil
}

// Duration reads a duration of 0 or more.
func (f *Flags) Duration(name string) (time.Duration, error) {
	d, err := ParseDuration(name, f.String(name))
	if err == nil && d < 0 {
		err = UsageErrorf("--%s %q: wanted 0 or more", name, f.String(name))
	}
	return d, err
}

// PositiveDuration reads a duration over 0; it is 0 without the flag.
func (f *Flags) PositiveDuration(name string) (time.Duration, error) {
	text := f.String(name)
	if text == "" {
		return 0, nil
	}
	d, err := ParseDuration(name, text)
	if err == nil && d <= 0 {
		err = UsageErrorf("--%s %q: wanted more than 0", name, text)
	}
	return d, err
}

// Loop reads --loop: how many times to play (0: forever).
func (f *Flags) Loop() (int64, error) {
	loop := f.Int64("loop")
	if loop < 0 {
		return 0, UsageErrorf("--loop %d: wanted 0 or more", loop)
	}
	return loop, nil
}

// RangeFlags are the flags of the tools that select packets by time.
func RangeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "from", Usage: "leave out packets before `TIME`"},
		&cli.StringFlag{Name: "to", Usage: "leave out packets at or after `TIME`"},
	}
}

// TimeRange reads RangeFlags, in nanoseconds since the Unix epoch. The range ends before to.
// Without a flag it has no limit.
func (f *Flags) TimeRange() (from, to int64, err error) {
	from, to = math.MinInt64, math.MaxInt64
	if text := f.String("from"); text != "" {
		if from, err = ParseTime("from", text); err != nil {
			return 0, 0, err
		}
	}
	if text := f.String("to"); text != "" {
		if to, err = ParseTime("to", text); err != nil {
			return 0, 0, err
		}
	}
	if from >= to && f.IsSet("to") {
		return 0, 0, UsageErrorf("--from %q is not before --to %q", f.String("from"), f.String("to"))
	}
	return from, to, nil
}

// FilterFlags are the flags of the tools that filter packets.
func FilterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "filter", Usage: "keep only packets that match `EXPRESSION`, see pcap-filter(7)"},
		&cli.StringFlag{Name: "filter-file", Usage: "read the filter from `FILE`: an expression, or a program of tcpdump -ddd"},
	}
}

// Filter compiles the filter of FilterFlags, or returns nil without them. The caller passes
// the function that compiles, so that only tools with a filter link it.
func Filter[F any](f *Flags, compile func(flag, text string) (*F, error)) (*F, error) {
	flag, text, err := f.filterText()
	if err != nil || flag == "" {
		return nil, err
	}
	filter, err := compile(flag, text)
	if err != nil {
		return nil, UsageErrorf("%w", err)
	}
	return filter, nil
}

// filterText is the expression or program of FilterFlags, and the flag as messages name it,
// which is "" without a flag.
func (f *Flags) filterText() (flag, text string, err error) {
	name := f.String("filter-file")
	switch {
	case f.IsSet("filter") && name != "":
		return "", "", UsageErrorf("--filter and --filter-file: wanted one of them")
	case f.IsSet("filter"):
		return "--filter", f.String("filter"), nil
	case name != "":
		content, err := readFilter(name)
		if err != nil {
			return "", "", UsageErrorf("--filter-file %w", files.Named(name, err)).WithHint("wanted a file with an expression, or with a program of tcpdump -ddd")
		}
		return "--filter-file " + name, content, nil
	}
	return "", "", nil
}

// maxFilterFile is the largest file that is read, in bytes. Expressions and programs must be
// smaller.
const maxFilterFile = 2 << 20

func readFilter(name string) (string, error) {
	file, err := files.OpenInput(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFilterFile))
	if bytes.IndexByte(text, 0) >= 0 {
		err = errors.New("is binary")
	}
	return string(text), err
}

// RewriteFlags are those of the tools that change packets.
func RewriteFlags() []cli.Flag {
	return []cli.Flag{
		NewListFlag("map", "change the addresses of one network to those of another, by a `RULE` such as 10.1.0.0/16=192.168.0.0/16"),
		&cli.StringFlag{Name: "src-mac", Usage: "set the source MAC address of all frames to `ADDRESS`"},
		&cli.StringFlag{Name: "dst-mac", Usage: "set the destination MAC address of all frames to `ADDRESS`"},
		NewListFlag("mac", "replace a MAC address, by a `RULE` such as 02:00:00:00:00:01=02:00:00:00:00:02"),
		NewListFlag("vlan", "change the outer VLAN tag, by a `RULE` such as push:7, pop or 7=8"),
		NewListFlag("port", "replace a port of TCP, UDP and SCTP, by a `RULE` such as 80=8080"),
	}
}

// Rewriter compiles what RewriteFlags say: the values of each flag. It is nil without them.
// The tools that have these flags give the function that compiles them, as with Filter.
func Rewriter[R any](f *Flags, compile func(rules map[string][]string) (*R, error)) (*R, error) {
	rules := map[string][]string{}
	for _, declared := range RewriteFlags() {
		name := declared.Names()[0]
		if !f.IsSet(name) {
			continue
		}
		if rules[name] = []string{f.String(name)}; isList(declared) {
			rules[name] = f.Strings(name)
		}
	}
	if len(rules) == 0 {
		return nil, nil
	}
	rewriter, err := compile(rules)
	if err != nil {
		return nil, UsageErrorf("%w", err)
	}
	return rewriter, nil
}

func isList(declared cli.Flag) bool {
	_, ok := declared.(*ListFlag)
	return ok
}

// UniqueFlowsFlag is of the tools that have --loop.
func UniqueFlowsFlag() cli.Flag {
	return &cli.BoolFlag{Name: "unique-flows", Usage: "for --loop: give the hosts other addresses in each round after the first"}
}

// UniqueFlows reads UniqueFlowsFlag.
func (f *Flags) UniqueFlows() (bool, error) {
	isSet := f.Bool("unique-flows")
	if isSet && f.Int64("loop") == 1 {
		return false, UsageErrorf("--unique-flows needs --loop")
	}
	return isSet, nil
}

// StrictFlag is the flag of the tools that otherwise continue after a bad input.
func StrictFlag() cli.Flag {
	return &cli.BoolFlag{Name: "strict", Usage: "stop at the first input that is damaged or cannot be read"}
}
