package main

import (
	"regexp"
	"slices"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
)

// format is the output format.
type format int

const (
	records  format = iota
	names           // escaped, one per line
	rawNames        // each followed by a zero byte
)

// config is what the flags say.
type config struct {
	archives    []string
	match       []*regexp.Regexp // any of them; none matches all
	format      format
	index       bool // write it
	verify      bool // check it, and list nothing
	ignoreZeros bool
}

func configure(flags *tool.Flags) (c config, err error) {
	if c.match, err = tool.CompilePatterns("--match", flags.Strings("match")); err != nil {
		return c, err
	}
	if c.archives = flags.Operands(); len(c.archives) == 0 {
		c.archives = []string{"-"}
	}
	if err := input.CheckStdinOnce(c.archives); err != nil {
		return c, err
	}
	c.index, c.verify, c.ignoreZeros = flags.Bool("index"), flags.Bool("verify"), flags.Bool("ignore-zeros")
	for _, flag := range []string{"index", "verify"} {
		if flags.Bool(flag) && slices.Contains(c.archives, "-") {
			return c, tool.UsageErrorf("--%s needs a file: stdin has no index", flag)
		}
	}
	if c.index && c.verify {
		return c, tool.UsageErrorf("--index and --verify cannot be combined")
	}
	switch {
	case flags.Bool("null"):
		c.format = rawNames
	case flags.Bool("names"):
		c.format = names
	}
	return c, nil
}

// indexes are the indexes that --index writes.
func indexes(flags *tool.Flags) (paths []string) {
	if !flags.Bool("index") {
		return nil
	}
	for _, path := range flags.Operands() {
		paths = append(paths, archive.IndexPath(path))
	}
	return paths
}
