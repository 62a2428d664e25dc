package main

import (
	"math/big"
	"runtime"

	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/rewrite"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tunnel"
)

// config is what the flags say.
type config struct {
	names       input.Names
	jobs        int // files that are read at the same time
	ignoreZeros bool
	json        bool   // records, even on a terminal
	chart       bool   // instead of records
	svg         string // a file; "" without
	fromRecords string // a file to draw from; "" without

	// For --against:
	reference string               // "" without
	speed     float64              // 0: to be estimated
	memory    int64                // bytes
	tmp       string               // a folder
	decap     *tunnel.Decapsulator // nil changes nothing
	rewriter  *rewrite.Rewriter    // nil changes nothing
}

// descriptorsOfJob is the maximum number of files that a job has open: a tarball twice and
// its index.
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
	c.json, c.fromRecords = flags.Bool("json"), flags.String("from-records")
	if err := c.readComparison(flags); err != nil {
		return c, err
	}
	switch operands := flags.Operands(); {
	case c.chart && c.json:
		return c, tool.UsageErrorf("--chart and --json: wanted one of them")
	case c.fromRecords != "" && !c.draws():
		return c, tool.UsageErrorf("--from-records needs --chart or --svg")
	case c.fromRecords != "" && len(operands) > 0:
		return c, tool.UsageErrorf("--from-records and the operand %q: wanted one of them", operands[0])
	case c.svg == "-":
		return c, tool.UsageErrorf("--svg -: wanted a file, because stdout is for records")
	}
	return c, nil
}

// readComparison reads --against and the flags that belong to it.
func (c *config) readComparison(flags *tool.Flags) (err error) {
	if !flags.IsSet("against") {
		for _, name := range flagsOfComparison() {
			if flags.IsSet(name) {
				return tool.UsageErrorf("--%s needs --against", name)
			}
		}
		return nil
	}
	for _, name := range []string{"jobs", "ignore-zeros", "from-records", "match", "suffix"} {
		if flags.IsSet(name) {
			return tool.UsageErrorf("--against and --%s: wanted one of them", name)
		}
	}
	if c.reference = flags.String("against"); c.reference == "" {
		return tool.UsageErrorf("--against %q: wanted a capture", c.reference)
	}
	operands := flags.Operands()
	if len(operands) > 1 {
		return tool.UsageErrorf("--against compares with one capture, and %q is a second one", operands[1]).
			WithHint("pcap-merge merges several captures into one")
	}
	if c.reference == "-" && (len(operands) == 0 || operands[0] == "-") {
		return tool.UsageErrorf("--against -: stdin cannot be the reference and the capture")
	}
	if text := flags.String("speed"); text != "" {
		if c.speed, err = parseSpeed(text); err != nil {
			return err
		}
	}
	if c.decap, err = tool.Decap(flags, tunnel.NewDecapsulator); err != nil {
		return err
	}
	if c.rewriter, err = tool.Rewriter(flags, rewrite.New); err != nil {
		return err
	}
	c.memory, c.tmp, err = flags.Memory()
	return err
}

// flagsOfComparison are those that only --against has.
func flagsOfComparison() []string {
	names := []string{"speed", "memory", "tmp"}
	for _, flag := range referenceFlags() {
		names = append(names, flag.Names()[0])
	}
	return names
}

// maxSpeed is that of pcap-pace: beyond it, a day becomes less than a millisecond.
const maxSpeed = 1e8

// parseSpeed reads a number over 0, as pcap-pace does: 2, 0.5, 1/3.
func parseSpeed(text string) (float64, error) {
	ratio, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, tool.UsageErrorf("--speed %q: wanted a number, such as 2 or 0.5", text)
	}
	speed, _ := ratio.Float64()
	if speed < 1/maxSpeed || speed > maxSpeed {
		return 0, tool.UsageErrorf("--speed %q: wanted a number from %g to %g", text, 1/maxSpeed, maxSpeed)
	}
	return speed, nil
}

// forPeople reports whether stdout is a terminal that gets a table instead of records.
func (c *config) forPeople(run *tool.Run) bool {
	return !c.json && c.fromRecords == "" && !run.Flags.IsSet("output") && tool.IsTerminal(run.Out)
}

// draws says that a picture is wanted.
func (c *config) draws() bool { return c.chart || c.svg != "" }
