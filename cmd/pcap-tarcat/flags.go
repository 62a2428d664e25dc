package main

import (
	"math"

	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// config is what the flags and operands say.
type config struct {
	choices     []archiveChoice
	raw         bool
	list        bool
	directory   string // of -C; "" without
	compression stream.Compression
	maxBytes    int64
	ignoreZeros bool
}

func configure(flags *tool.Flags, opener *input.Opener) (c config, err error) {
	for _, pair := range [][2]string{{"raw", "compress"}, {"directory", "output"}, {"list", "directory"}, {"list", "compress"}} {
		if flags.IsSet(pair[0]) && flags.IsSet(pair[1]) {
			return c, tool.UsageErrorf("--%s and --%s cannot be combined", pair[0], pair[1])
		}
	}
	c.maxBytes = math.MaxInt64
	if flags.IsSet("max-bytes") {
		if c.maxBytes, err = tool.ParseSize("max-bytes", flags.String("max-bytes")); err != nil {
			return c, err
		}
	}
	c.raw, c.list, c.ignoreZeros = flags.Bool("raw"), flags.Bool("list"), flags.Bool("ignore-zeros")
	if !c.raw && !c.list { // which are never compressed, whatever the output is called
		if c.compression, err = flags.Compression(); err != nil {
			return c, err
		}
	}
	c.directory = flags.String("directory")
	c.choices, err = chooseMembers(flags, opener)
	return c, err
}

// archiveChoice has the selected members of one tarball.
type archiveChoice struct {
	path       string
	wanted     input.Wanted
	fromRecord bool // only records name it
}

// chooseMembers reads the flags and operands that select members.
func chooseMembers(flags *tool.Flags, opener *input.Opener) ([]archiveChoice, error) {
	operands := flags.Operands()
	choice := archiveChoice{path: "-"}
	if len(operands) > 0 {
		choice.path, operands = operands[0], operands[1:]
	}
	patterns, err := tool.CompilePatterns("regular expression", operands)
	if err != nil {
		return nil, err
	}
	for _, pattern := range patterns {
		choice.wanted.AddPattern(pattern)
	}
	for _, name := range flags.Strings("name") {
		choice.wanted.Add(name)
	}
	if flags.IsSet("select") {
		return selectMembers(choice, flags, opener)
	}
	choice.wanted.All = choice.wanted.IsComplete() // nothing is named
	return []archiveChoice{choice}, nil
}

// selectMembers adds the members of --select. Without an operand, the records name the
// tarballs.
func selectMembers(choice archiveChoice, flags *tool.Flags, opener *input.Opener) ([]archiveChoice, error) {
	file, named := flags.String("select"), len(flags.Operands()) > 0
	if named && file == "-" && choice.path == "-" {
		return nil, tool.UsageErrorf("stdin cannot be both the tarball and the records of --select")
	}
	selection, err := input.ReadSelection(opener, file)
	if err != nil {
		return nil, err
	}
	if named {
		err := choice.addSelection(selection)
		return []archiveChoice{choice}, err
	}
	if choice.wanted.HasNames() {
		return nil, tool.UsageErrorf("--name with --select needs the tarball as an operand")
	}
	var choices []archiveChoice
	places := map[string]int{}
	for _, s := range selection {
		if s.Archive == "" || s.Archive == "-" {
			return nil, tool.UsageErrorf("--select: the record of %q does not say in which file the tarball is", s.Path).
				WithHint("name the tarball as an operand")
		}
		place, known := places[s.Archive]
		if !known {
			place = len(choices)
			places[s.Archive] = place
			choices = append(choices, archiveChoice{path: s.Archive, fromRecord: true})
		}
		choices[place].wanted.AddRecord(&s)
	}
	return choices, nil
}

// addSelection adds the records of this tarball. Records of stdin, or without an archive,
// count as records of this tarball.
func (c *archiveChoice) addSelection(selection []input.Selected) error {
	others := ""
	for _, s := range selection {
		if s.Archive == "" || s.Archive == "-" || c.path == "-" || files.Same(s.Archive, c.path) {
			c.wanted.AddRecord(&s)
		} else {
			others = s.Archive
		}
	}
	if !c.wanted.HasNames() && others != "" {
		return tool.UsageErrorf("--select: the records are of %q, not of %q", others, c.path)
	}
	return nil
}
