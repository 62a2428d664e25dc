package tool

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/files"
)

// ProgressModes are the values of --progress, the default first.
var ProgressModes = []string{"auto", "always", "never"}

// commonFlags are those of every tool.
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
			f.DisableDefaultText = true // it is off, as every flag is that is not given
		}
	}
	return all
}

// parse reads the flags. The flags are declared by urfave/cli, but its App does not run
// here: it prints help by text/template, which keeps the linker from leaving out any
// method of any type, a third of a binary.
func (t *Tool) parse(arguments []string) (*Flags, error) {
	for rest := arguments; ; {
		set := flag.NewFlagSet(t.Name, flag.ContinueOnError)
		set.SetOutput(io.Discard) // every message is ours
		all := t.allFlags()
		for _, f := range all {
			if err := declare(set, f); err != nil {
				return nil, err
			}
		}
		err := set.Parse(rest)
		if err == nil {
			return &Flags{set}, copyAliases(set, all)
		}
		apart := splitShortFlags(set, rest, err)
		if apart == nil {
			return nil, asUsageError(err, arguments)
		}
		rest = apart
	}
}

// declare adds a flag to a set.
func declare(set *flag.FlagSet, declared cli.Flag) error {
	list, ok := declared.(*cli.StringSliceFlag)
	if !ok {
		return declared.Apply(set)
	}
	values := &stringList{}
	for _, name := range list.Names() {
		set.Var(values, name, list.Usage)
	}
	return nil
}

// stringList is the values of a flag that may be given again. That of urfave/cli divides
// them at commas, which are part of regular expressions and names.
type stringList []string

func (l *stringList) String() string         { return strings.Join(*l, " ") }
func (l *stringList) Set(value string) error { *l = append(*l, value); return nil }

const unknownFlag = "flag provided but not defined: -"

// splitShortFlags writes the short flags that stand together in one argument, such as
// -qv, as arguments of their own, if that is what the flag package could not parse.
func splitShortFlags(set *flag.FlagSet, arguments []string, err error) []string {
	name, unknown := strings.CutPrefix(err.Error(), unknownFlag)
	at := slices.Index(arguments, "-"+name)
	if !unknown || at < 0 || len(name) < 2 {
		return nil
	}
	var apart []string
	for _, letter := range name {
		if set.Lookup(string(letter)) == nil {
			return nil
		}
		apart = append(apart, "-"+string(letter))
	}
	return slices.Replace(slices.Clone(arguments), at, at+1, apart...)
}

// copyAliases gives all names of a flag the value of the one that was given.
func copyAliases(set *flag.FlagSet, all []cli.Flag) error {
	given := map[string]bool{}
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, f := range all {
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

// invalidValue is what the flag package says of one, and of what kind it is.
var invalidValue = regexp.MustCompile(`(?s)^invalid (boolean )?value (".*") for(?: flag)? -+([^ :]+): `)

// asUsageError puts what the flag package says of arguments into our words.
func asUsageError(err error, arguments []string) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, unknownFlag); ok {
		return UsageErrorf("unknown flag %q", asTyped(name, arguments)).WithHint("--help lists the flags")
	}
	if parts := invalidValue.FindStringSubmatch(text); parts != nil {
		if parts[1] != "" {
			return UsageErrorf("%s takes no value, such as %s", dashed(parts[3]), parts[2])
		}
		return UsageErrorf("%s %s: wanted a whole number", dashed(parts[3]), parts[2])
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return UsageErrorf("flag %q needs a value", dashed(strings.TrimPrefix(name, "-")))
	}
	return UsageErrorf("%s", text)
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

// writeHelp prints what --help shows.
func (t *Tool) writeHelp(dst io.Writer) error {
	table := tabwriter.NewWriter(dst, 1, 8, 2, ' ', 0)
	usage := strings.TrimSpace(t.Name + " [flags] " + t.Operands)
	fmt.Fprintf(table, "%s - %s\n\nusage: %s\n\n%s\n\nflags:", t.Name, t.Usage, usage, t.Text)
	for _, f := range t.allFlags() {
		fmt.Fprintf(table, "\n   %s", f)
	}
	exits := "0 done; 1 failed; 2 usage; 3 done, but some input was damaged or some\npackets could not be sent"
	if t.Exits != "" {
		exits += "; " + t.Exits
	}
	fmt.Fprintf(table, "\n\nexit codes: %s. More in %s(1).\n", exits, t.Name)
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

// checkOperands finds flags behind operands: the flag package would take them for file
// names. What stands behind "--" is an operand.
func (f *Flags) checkOperands(arguments []string) error {
	operands := f.Operands()
	before := len(arguments) - len(operands) - 1
	if before >= 0 && arguments[before] == "--" {
		return nil
	}
	for _, operand := range operands {
		if operand == "--" {
			return nil
		}
		if strings.HasPrefix(operand, "-") && operand != "-" {
			return UsageErrorf("flag %q after an operand", operand).
				WithHint("flags come before operands; after \"--\" every argument is an operand")
		}
	}
	return nil
}

// mayBeEmpty are the flags that choose: empty, they choose all.
var mayBeEmpty = []string{"filter", "match", "suffix"}

// checkValues refuses flags without a value, which an unset variable of the shell makes.
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
