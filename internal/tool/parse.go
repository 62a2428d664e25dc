package tool

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/files"
)

// ProgressModes are the values of --progress, the default first.
var ProgressModes = []string{"auto", "always", "never"}

// commonFlags are the flags of every tool.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print only errors"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "print more messages"},
		&cli.StringFlag{Name: "report", Usage: "write events and a summary as NDJSON to `FILE`, or to an open file descriptor (a number)"},
		&cli.StringFlag{Name: "progress", Value: ProgressModes[0], Usage: "show progress on stderr: auto, always or never"},
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
		&cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "print this help"},
	}
}

// allFlags are the tool's own and the common ones.
func (t *Tool) allFlags() []cli.Flag {
	all := slices.Concat(t.Flags, commonFlags())
	for _, f := range all {
		if f, ok := f.(*cli.BoolFlag); ok {
			f.DisableDefaultText = true // the flag is off, like every flag that is not given
		}
	}
	return all
}

// parse parses the flags. They are declared by urfave/cli, but its App does not run here:
// it prints help by text/template, which keeps the linker from removing unused methods, a
// third of a binary.
func (t *Tool) parse(arguments []string) (*Flags, error) {
	set := flag.NewFlagSet(t.Name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // all messages are written here
	all := t.allFlags()
	for _, f := range all {
		if err := f.Apply(set); err != nil {
			return nil, err
		}
	}
	a := arrange(set, arguments)
	if err := set.Parse(a.arguments()); err != nil {
		return nil, t.asUsageError(err, set, arguments)
	}
	if err := a.checkRepeated(set); err != nil {
		return nil, err
	}
	if expression := t.expressionIn(a.operands); expression != "" && !isWord(set, expression) {
		return nil, UsageErrorf("%q is not a file", expression).WithHint(a.hintForExpression(expression, set))
	}
	if a.hasStrayWord() {
		return nil, UsageErrorf("%q after %s is not a file", a.operands[0], strings.Join(a.before, " ")).WithHint(t.hintForStray(&a, set, arguments))
	}
	return &Flags{set, a.flags}, copyAliases(set, all)
}

// arranged is a command line with flags and operands separated, as the flag package needs
// them.
type arranged struct {
	flags    [][]string // each with its value
	operands []string
	// before is the flag, with its value, that is directly before the first operand, if any.
	before []string
	// first is the place of the first operand in the command line.
	first int
	// lacksValue means that the last argument is a flag that needs a value.
	lacksValue bool
}

// arguments are the flags and then the operands.
func (a *arranged) arguments() []string {
	if a.lacksValue {
		return slices.Concat(a.flags...) // which the flag package refuses
	}
	return slices.Concat(slices.Concat(a.flags...), []string{"--"}, a.operands)
}

// arrange reads arguments like getopt_long(3): flags may follow operands, short flags
// without a value may be combined, and the value of a short flag may follow it without a
// space. After "--" every argument is an operand.
func arrange(set *flag.FlagSet, arguments []string) (a arranged) {
	var before []string
	for place := 0; len(arguments) > 0; place++ {
		argument := arguments[0]
		arguments = arguments[1:]
		if argument == "--" {
			a.operands = append(a.operands, arguments...)
			break
		}
		if !strings.HasPrefix(argument, "-") || argument == "-" {
			if len(a.operands) == 0 {
				a.before, a.first = before, place
			}
			a.operands = append(a.operands, argument)
			continue
		}
		apart, needsValue := splitFlag(set, argument)
		before = nil
		a.lacksValue = needsValue && len(arguments) == 0
		if needsValue && !a.lacksValue {
			before = []string{argument, arguments[0]}
			apart = append(apart, arguments[0])
			arguments = arguments[1:]
			place++
		}
		a.flags = append(a.flags, apart)
	}
	return a
}

// splitFlag splits an argument such as -qieth1 into flags and a value, and reports whether
// the value of the last flag is the next argument. It does not split an unknown flag.
func splitFlag(set *flag.FlagSet, argument string) (apart []string, needsValue bool) {
	name, _, hasValue := strings.Cut(strings.TrimLeft(argument, "-"), "=")
	if known := set.Lookup(name); known != nil {
		return []string{argument}, !hasValue && !isBool(known)
	}
	if strings.HasPrefix(argument, "--") {
		return []string{argument}, false
	}
	letters := argument[1:]
	for i, letter := range letters {
		known := set.Lookup(string(letter))
		if known == nil {
			return []string{argument}, false
		}
		apart = append(apart, "-"+string(letter))
		if !isBool(known) {
			if value := letters[i+len(string(letter)):]; value != "" {
				return append(apart, value), false
			}
			return apart, true
		}
	}
	return apart, false
}

// isBool reports whether a flag has no value.
func isBool(f *flag.Flag) bool {
	value, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && value.IsBoolFlag()
}

// hasStrayWord reports a value of several words, such as --fit 10 minutes, or a second value
// without its flag, such as -i eth1 eth2. The second word would be the first of several
// inputs, or it is a unit, and no such file exists.
func (a *arranged) hasStrayWord() bool {
	if a.before == nil || len(a.operands) == 0 || a.operands[0] == "-" || strings.ContainsAny(a.operands[0], "./") {
		return false
	}
	if len(a.operands) == 1 && !unit.MatchString(a.operands[0]) {
		return false
	}
	return isMissing(a.operands[0])
}

func isMissing(name string) bool {
	_, err := os.Lstat(name)
	return errors.Is(err, os.ErrNotExist)
}

// expressionStart matches the beginning of a filter expression: a protocol, which may be all of
// it, or another word of pcap-filter(7) with something after it.
var expressionStart = regexp.MustCompile(`^[(! ]*((ah|arp|esp|icmp6?|igmp|ip6?|mpls|pppoes|rarp|sctp|tcp|udp|vlan)([[) ]|$)|` +
	`(dst|ether|greater|host|less|net|not|port|portrange|proto|src)[ (])`)

// expressionIn returns the operands that are a filter expression, as tcpdump(1) has them behind
// its flags. They would be missing files, and packets that the user did not want would be sent.
func (t *Tool) expressionIn(operands []string) string {
	if t.InputOperands != nil {
		operands = t.InputOperands(operands)
	}
	missing := slices.DeleteFunc(slices.Clone(operands), func(name string) bool { return !isMissing(name) })
	for i := range missing {
		if expression := strings.Join(missing[i:], " "); expressionStart.MatchString(expression) {
			return expression
		}
	}
	return ""
}

// hintForExpression names the flag for an expression. The first word of the expression may be
// the value of that flag already.
func (a *arranged) hintForExpression(expression string, set *flag.FlagSet) string {
	if set.Lookup("filter") == nil {
		return elsewhereHint("filter")
	}
	if len(a.before) == 2 && a.before[0] == "--filter" {
		expression = a.before[1] + " " + expression
	}
	return files.QuoteLine([]string{"--filter", expression}) + " selects packets"
}

// unit matches the unit of a duration or a size as a word of its own.
var unit = regexp.MustCompile(`^(ms|s|m|h|d|sec|min|((milli)?second|minute|hour|day)s?|[kKMGT]i?B|bytes)$`)

// hintForStray returns the corrected command line if the flag before the word may be given
// several times.
func (t *Tool) hintForStray(a *arranged, set *flag.FlagSet, arguments []string) string {
	name := a.before[0]
	if known := set.Lookup(strings.TrimLeft(name, "-")); known != nil {
		if _, isList := known.Value.(*stringList); isList {
			return "each value needs its flag: " + files.QuoteLine(slices.Concat([]string{t.Name}, slices.Insert(slices.Clone(arguments), a.first, name)))
		}
	}
	return "a value is one word, such as 10m or 2020-09-13T12:26:40"
}

// joined says how one value of a flag holds what two values would.
var joined = map[string]string{
	"decap":  "separate the tunnels by commas",
	"filter": "join the expressions by and or by or",
	"match":  "join the expressions by |",
	"suffix": "--match '[.](cap|pcap)$' takes several suffixes",
}

// checkRepeated refuses a flag with two values, unless it takes several. The flag package
// would take the last one silently.
func (a *arranged) checkRepeated(set *flag.FlagSet) error {
	values := map[string]string{}
	for _, apart := range a.flags {
		name, value, ok := valueOf(set, apart)
		if !ok {
			continue
		}
		if _, isList := set.Lookup(name).Value.(*stringList); isList {
			continue
		}
		if first, isRepeated := values[name]; isRepeated {
			return UsageErrorf("%s has two values, %q and %q: wanted one", dashed(name), first, value).WithHint(joined[name])
		}
		values[name] = value
	}
	return nil
}

// valueOf returns the value in an argument that splitFlag has split. Only the last flag in
// it can have one.
func valueOf(set *flag.FlagSet, apart []string) (name, value string, ok bool) {
	last := len(apart) - 1
	if last > 0 {
		name = strings.TrimLeft(apart[last-1], "-")
		if known := set.Lookup(name); known != nil && !isBool(known) {
			return name, apart[last], true
		}
	}
	name, value, ok = strings.Cut(strings.TrimLeft(apart[last], "-"), "=")
	return name, value, ok
}

// copyAliases sets all names of a flag to the value of the one that was given. The names of
// a flag that may be repeated share one value already.
func copyAliases(set *flag.FlagSet, all []cli.Flag) error {
	given := map[string]bool{}
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, f := range all {
		if isList(f) {
			continue
		}
		names := f.Names()
		first := slices.IndexFunc(names, func(name string) bool { return given[name] })
		if first < 0 {
			continue
		}
		for _, name := range names {
			switch {
			case name == names[first]:
			case given[name]:
				return UsageErrorf("%s and %s are the same flag: wanted one of them", dashed(names[first]), dashed(name))
			default:
				if err := set.Set(name, set.Lookup(names[first]).Value.String()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// invalidValue matches the flag package's message about an invalid value and its type.
var invalidValue = regexp.MustCompile(`(?s)^invalid (boolean )?value (".*") for(?: flag)? -+([^ :]+): `)

const unknownFlag = "flag provided but not defined: -"

// asUsageError turns an error of the flag package into a usage error.
func (t *Tool) asUsageError(err error, set *flag.FlagSet, arguments []string) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, unknownFlag); ok {
		return UsageErrorf("unknown flag %q", asTyped(name, arguments)).WithHint(t.hintFor(strings.TrimLeft(name, "-"), set))
	}
	if parts := invalidValue.FindStringSubmatch(text); parts != nil {
		if parts[1] != "" {
			return UsageErrorf("%s takes no value, but got %s", dashed(parts[3]), parts[2])
		}
		return UsageErrorf("%s %s: wanted a whole number", dashed(parts[3]), parts[2])
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return UsageErrorf("flag %q needs a value", dashed(strings.TrimPrefix(name, "-")))
	}
	return UsageErrorf("%s", text)
}

// asTyped returns the argument from which the flag package took this flag.
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

// repeated matches the second copy of a flag that may be repeated, in the text of
// urfave/cli. It would make the column of flags too wide.
var repeated = regexp.MustCompile(` \[ -.* \]`)

// writeHelp prints what --help shows.
func (t *Tool) writeHelp(dst io.Writer) error {
	table := tabwriter.NewWriter(dst, 1, 8, 2, ' ', 0)
	usage := strings.TrimSpace(t.Name + " [flags] " + t.Operands)
	fmt.Fprintf(table, "%s - %s\n\nusage: %s\n\n%s\n\nflags:", t.Name, t.Usage, usage, t.Text)
	for _, f := range t.allFlags() {
		fmt.Fprintf(table, "\n   %s", repeated.ReplaceAllString(f.String(), " [ ... ]"))
	}
	exits := "0 done; 1 failed; 2 usage; 3 done, but some input was damaged or missing"
	if t.Exits != "" {
		exits += t.Exits
	}
	fmt.Fprintf(table, "\n\nexit codes: %s.\nMore in %s(1).\n", exits, t.Name)
	return stdoutError(table.Flush())
}

func (t *Tool) writeVersion(dst io.Writer) error {
	_, err := fmt.Fprintf(dst, "%s %s\n", t.Name, Version())
	return stdoutError(err)
}

func stdoutError(err error) error {
	if err == nil {
		return nil
	}
	return files.Named("stdout", err)
}

// mayBeEmpty are flags that select. An empty value selects everything.
var mayBeEmpty = []string{"filter", "match", "suffix"}

// checkValues refuses flags with an empty value, which an unset shell variable causes.
func (f *Flags) checkValues() error {
	var errs []error
	f.set.Visit(func(given *flag.Flag) {
		_, isSlice := given.Value.(*stringList)
		if given.Value.String() == "" && !isSlice && !slices.Contains(mayBeEmpty, given.Name) {
			errs = append(errs, UsageErrorf("%s \"\": wanted a value", dashed(given.Name)))
		}
	})
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}
