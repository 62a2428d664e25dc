package tool

import (
	"flag"
	"slices"

	"github.com/urfave/cli/v2"
)

// wordFlag is a flag that may have a word as its value, but only behind an equals sign, such as
// --dedup=ip. Without a value it has the first word.
type wordFlag struct {
	cli.BoolFlag
	words []string
}

// WordFlag returns a flag that has one of a few words: [Flags.OneOf] reads it. Without a value,
// it has the first word.
func WordFlag(name, usage string, words []string) cli.Flag {
	return &wordFlag{cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}, words}
}

// Apply implements cli.Flag.
func (f *wordFlag) Apply(set *flag.FlagSet) error {
	set.Var(&wordValue{words: f.words}, f.Name, f.Usage)
	return nil
}

// wordValue is the value of a wordFlag. It is empty if the flag is not given.
type wordValue struct {
	word  string
	words []string
}

func (v *wordValue) String() string { return v.word }

// IsBoolFlag says to the flag package that the next argument is no value.
func (v *wordValue) IsBoolFlag() bool { return true }

// Set gets "true" from the flag package if there is no value.
func (v *wordValue) Set(word string) error {
	if v.word = word; word == "true" {
		v.word = v.words[0]
	}
	return nil
}

// isWord reports whether a word may be meant as the value of a wordFlag that is given.
func isWord(set *flag.FlagSet, word string) (found bool) {
	set.Visit(func(given *flag.Flag) {
		if value, ok := given.Value.(*wordValue); ok && slices.Contains(value.words, word) {
			found = true
		}
	})
	return found
}
