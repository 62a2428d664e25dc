package main

import (
	"runtime"

	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
)

// config is what the flags say.
type config struct {
	names       input.Names
	jobs        int // files that are read at the same time
	ignoreZeros bool
	chart       bool   // instead of records
	svg         string // a file; "" without
	fromRecords string // a file to draw from; "" without
}

// descriptorsOfJob is how many files a job has open at most: a tarball twice and its index.
const descriptorsOfJob = 3

func configure(flags *tool.Flags) (c config, err error) {
	if c.names, err = input.ParseNames(flags); err != nil {
		return c, err
	}
	c.jobs = runtime.GOMAXPROCS(0)
	if flags.IsSet("jobs") {
		if c.jobs = int(flags.Int64("jobs")); c.jobs < 1 {
			return c, tool.UsageErrorf("--jobs %d: wanted 1 or more", c.jobs)
		}
	}
	c.jobs = min(c.jobs, max(files.DescriptorLimit()/descriptorsOfJob, 1))
	c.chart, c.svg, c.ignoreZeros = flags.Bool("chart"), flags.String("svg"), flags.Bool("ignore-zeros")
	c.fromRecords = flags.String("from-records")
	switch operands := flags.Operands(); {
	case c.fromRecords != "" && !c.draws():
		return c, tool.UsageErrorf("--from-records needs --chart or --svg")
	case c.fromRecords != "" && len(operands) > 0:
		return c, tool.UsageErrorf("--from-records and the operand %q: wanted one of them", operands[0])
	case c.svg == "-":
		return c, tool.UsageErrorf("--svg -: wanted a file, because stdout is for records")
	}
	return c, nil
}

// draws says that a picture is wanted.
func (c *config) draws() bool { return c.chart || c.svg != "" }
