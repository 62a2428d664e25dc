package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"pcap-replay/internal/chart"
	"pcap-replay/internal/compare"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// comparison is one run of pcap-map --against.
type comparison struct {
	run      *tool.Run
	config   config
	opener   *input.Opener
	problems *input.Problems
	inputs   [2]input.File // by compare.Side

	out     *files.Output
	svg     *files.Output   // nil without --svg
	result  *compare.Result // nil until the end
	packets atomic.Int64    // read of both
}

// maxUnmatched is how many missing and how many extra packets have events. It bounds the
// memory for them, and the report.
const maxUnmatched = 1000

func newComparison(run *tool.Run, config config) *comparison {
	capture := "-"
	if operands := run.Flags.Operands(); len(operands) > 0 {
		capture = operands[0]
	}
	c := &comparison{
		run: run, config: config, problems: input.NewProblems(run),
		opener: input.NewOpener(run),
	}
	c.inputs[compare.Reference].Path, c.inputs[compare.Capture].Path = config.reference, capture
	return c
}

// produce compares, and prints, draws and reports what was found.
func (c *comparison) produce() (err error) {
	if err := c.openOutputs(); err != nil {
		return err
	}
	c.run.SetCounters(c.counters)
	c.run.SetSummary(c.summary)
	if err := c.compare(); err != nil {
		return err
	}
	c.warn()
	c.report()
	if err := c.print(); err != nil {
		return err
	}
	if c.svg != nil {
		if err := chart.WriteComparisonSVG(c.svg, c.result); err != nil {
			return c.svg.Named(err)
		}
	}
	return nil
}

func (c *comparison) openOutputs() (err error) {
	if c.config.svg != "" {
		if c.svg, err = c.run.CreateOutput("--svg", c.config.svg); err != nil {
			return err
		}
	}
	c.out, err = c.run.OpenOutput(false)
	return err
}

// compare reads both captures.
func (c *comparison) compare() error {
	var readers [2]*stream.Reader
	for side, in := range c.inputs {
		file, err := c.opener.Open(in.Path)
		switch {
		case tool.IsUsage(err):
			return err
		case errors.Is(err, files.ErrFolder):
			return severalCaptures(in, err)
		case err != nil:
			c.problems.Failed(in, err)
			return tool.ErrReported
		}
		defer file.Close()
		src, isTarball := input.DetectTarball(input.NewSource(c.run.Context, file, c.run.Progress.Add))
		if isTarball {
			return severalCaptures(in, input.ErrTarball)
		}
		readers[side] = stream.NewReader(src)
	}
	c.run.Progress.Start(c.opener.Size(slices.Values([]string{c.inputs[0].Path, c.inputs[1].Path})), nil)
	debug.SetMemoryLimit(c.config.memory) // or as much again waits for the garbage collector
	sent := &reference{reader: readers[compare.Reference], decap: c.config.decap, rewriter: c.config.rewriter}
	result, err := compare.Compare(sent, readers[compare.Capture], compare.Options{
		Speed: c.config.speed, Memory: c.config.memory, Tmp: c.config.tmp, Events: maxUnmatched, Damaged: c.damaged,
		Progressed: func(packets int64) { c.packets.Add(packets) },
	})
	var failed *compare.ReadError
	switch {
	case c.run.Context.Err() != nil:
		return c.run.Context.Err()
	case errors.As(err, &failed):
		c.problems.Failed(c.inputs[failed.Side], failed.Err)
		return tool.ErrReported
	case err != nil:
		return tool.HintTemporary(err)
	}
	for _, reader := range readers {
		if err := reader.Close(); err != nil {
			return err
		}
	}
	result.Reference.Path, result.Capture.Path = c.inputs[compare.Reference].Path, c.inputs[compare.Capture].Path
	result.Reference.PathRaw, result.Capture.PathRaw = record.RawName(result.Reference.Path), record.RawName(result.Capture.Path)
	c.result = result
	return nil
}

// severalCaptures refuses a folder or a tarball. The hint makes one capture of it.
func severalCaptures(in input.File, err error) error {
	return tool.UsageErrorf("%w", files.Named(in.Path, err)).
		WithHint("merge its captures first: " + files.QuoteLine([]string{"pcap-merge", "-o", "FILE.pcap", in.Path}))
}

func (c *comparison) damaged(side compare.Side, damage *stream.Damage) error {
	c.problems.Damage(c.inputs[side], damage)
	return c.problems.Stop()
}

// warn says what makes the result say less than it seems to.
func (c *comparison) warn() {
	r, messages := c.result, c.run.Messages
	messages.WarnInTunnel(c.config.decap.Record())
	if text := c.config.rewriter.Explain(); text != "" {
		messages.Warnf("%s", text)
	}
	if r.LinkTypesDiffer {
		messages.Warnf("the reference has link type %s, and the capture %s: MAC addresses are not compared", r.Reference.LinkName, r.Capture.LinkName)
	}
	if n := r.Reference.OutOfOrder; n > 0 {
		messages.Warnf("%s: %s of the reference out of order (pcap-merge sorts them)", c.inputs[compare.Reference].Display(), plural.Of(n, "packet"))
	}
	if r.Displaced > 0 {
		messages.Warnf("%s too far from their places: their times are not compared (a larger --memory compares more)", plural.Of(r.Displaced, "packet"))
	}
	if r.Reference.Packets > 0 && r.Capture.Packets > 0 && r.Matched+r.Altered == 0 {
		messages.Warnf("the captures have no packet in common")
	}
}

// report writes an event for each missing and each extra packet.
func (c *comparison) report() {
	for _, packets := range [][]record.Unmatched{c.result.Missing, c.result.Extra} {
		for _, event := range packets {
			event.Tool, event.Path = c.run.Name(), c.inputs[compare.Capture].Path
			if event.Event == compare.EventMissing {
				event.Path = c.inputs[compare.Reference].Path
			}
			event.PathRaw = record.RawName(event.Path)
			c.run.Report.Event(event)
		}
	}
}

// print prints the record, or for people a table. If only stderr is a terminal, the table
// goes there, and the record to stdout.
func (c *comparison) print() error {
	if c.config.chart || c.config.forPeople(c.run) {
		columns := tool.DefaultColumns
		if width, _, ok := tool.TerminalSize(c.run.Out); ok {
			columns = width
		}
		for _, line := range chart.ComparisonLines(c.result, columns) {
			if _, err := fmt.Fprintln(c.out, line); err != nil {
				return err
			}
		}
		return nil
	}
	if columns, _, ok := c.run.Terminal(); ok && !c.run.Messages.Quiet() {
		c.run.Progress.Finish()
		for _, line := range chart.ComparisonLines(c.result, columns-len(c.run.Name())-len(": ")) {
			c.run.Messages.Say(line)
		}
	}
	return record.NewEncoder(c.out).Encode(c.result.Comparison)
}

// counters is the line for SIGUSR1.
func (c *comparison) counters() string {
	return fmt.Sprintf("%s of both captures compared", plural.Of(c.packets.Load(), "packet"))
}

func (c *comparison) summary(head record.Summary) any {
	c.run.Messages.Infof("%s in %v", c.counters(), c.run.Elapsed().Round(time.Millisecond))
	s := record.MapSummary{Summary: head, Packets: c.packets.Load()}
	if c.result == nil {
		return s
	}
	for _, side := range []record.Compared{c.result.Reference, c.result.Capture} {
		s.Captures++
		s.Bytes += side.Bytes
		s.WireBytes += side.WireBytes
		s.LostBytes += side.LostBytes
		if side.Damaged > 0 {
			s.Damaged++
		}
	}
	s.Unlisted = c.result.Comparison.Missing + c.result.Comparison.Extra - int64(len(c.result.Missing)+len(c.result.Extra))
	return s
}
