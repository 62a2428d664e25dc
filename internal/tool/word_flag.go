package tool

import (
	"flag"

	"github.com/urfave/cli/v2"
)

// wordFlag is a flag that may have a word as its value, but only behind an equals sign, such as
// --dedup=ip. Without a value it has the first word.
type wordFlag struct {
	cli.BoolFlag
	first string
}

// WordFlag returns a flag that has one of a few words: [Flags.OneOf] reads it. Without a value,
// it has the first word.
func WordFlag(name, usage string, words []string) cli.Flag {
	return &wordFlag{cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}, words[0]}
}

// Apply implements cli.Flag.
func (f *wordFlag) Apply(set *flag.FlagSet) error {
	set.Var(&wordValue{first: f.first}, f.Name, f.Usage)
	return nil
}

// wordValue is the value of a wordFlag. It is empty if the flag is not given.
type wordValue struct{ word, first string }

func (v *wordValue) String() string { return v.word }

// IsBoolFlag says to the flag package that the next argument is no value.
func (v *wordValue) IsBoolFlag() bool { return true }

// Set gets "true" from the flag package if there is no value.
func (v *wordValue) Set(word string) error {
	if v.word = word; word == "true" {
		v.word = v.first
	}
	return nil
}
