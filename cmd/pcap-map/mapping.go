package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"pcap-replay/internal/chart"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// mapping is one run of pcap-map. Its counters are safe for concurrent use.
type mapping struct {
	run      *tool.Run
	config   config
	opener   *input.Opener
	problems *input.Problems

	out     *files.Output
	svg     *files.Output   // nil without --svg
	records *record.Encoder // nil if a chart or a table is printed instead
	table   *chart.Table    // nil if none is printed
	picture *chart.Picture  // nil if none is drawn

	captures, packets, bytes, wireBytes, lostBytes, damaged, failed atomic.Int64
}

func newMapping(run *tool.Run, config config) *mapping {
	m := &mapping{
		run: run, config: config, problems: input.NewProblems(run),
		opener: input.NewOpener(run),
	}
	if config.draws() {
		m.picture = &chart.Picture{}
	}
	return m
}

// open opens the outputs.
func (m *mapping) open() (err error) {
	if m.config.svg != "" {
		if m.svg, err = m.run.CreateOutput("--svg", m.config.svg); err != nil {
			return err
		}
	}
	if m.out, err = m.run.OpenOutput(false); err != nil {
		return err
	}
	switch {
	case m.config.chart:
	case m.config.forPeople(m.run):
		m.table = &chart.Table{}
	default:
		m.records = record.NewEncoder(m.out)
	}
	return nil
}

// produce reads the captures, prints their records or a table, and draws their picture.
func (m *mapping) produce() error {
	read := m.readCaptures
	if m.config.fromRecords != "" {
		read = m.readRecords
	}
	if err := read(); err != nil {
		return err
	}
	if m.captures.Load() == 0 {
		return m.nothingFound()
	}
	if m.table != nil {
		if err := m.table.WriteText(m.out, m.chartSize().Columns); err != nil {
			return err
		}
	}
	if m.config.chart {
		if err := m.picture.WriteText(m.out, m.chartSize()); err != nil {
			return err
		}
	}
	if m.svg != nil {
		if err := m.picture.WriteSVG(m.svg); err != nil {
			return m.svg.Named(err)
		}
	}
	return nil
}

// nothingFound is the error of a run without any capture.
func (m *mapping) nothingFound() error {
	switch {
	case m.failed.Load() > 0:
		return tool.ErrReported
	case m.config.fromRecords != "":
		return fmt.Errorf("--from-records %s: no records", files.Display(m.config.fromRecords, ""))
	}
	return input.NoCapture(m.run.Flags.Operands(), m.config.names)
}

// readCaptures surveys the operands.
func (m *mapping) readCaptures() error {
	operands := m.run.Flags.Operands()
	if len(operands) == 0 || slices.Contains(operands, "-") {
		if err := m.opener.CheckStdin(); err != nil {
			return err
		}
	}
	inputs, failed, err := m.opener.Expand(operands, m.config.names, m.problems)
	m.failed.Store(int64(failed))
	switch {
	case err != nil:
		return err
	case failed > 0 && m.problems.Strict:
		return tool.ErrReported
	}
	m.run.Progress.Start(m.opener.Size(inputs.Paths()), nil)
	err = m.surveyAll(inputs)
	m.problems.WarnSkipped()
	if err == nil {
		err = m.problems.Check() // of a tarball between its members
	}
	return err
}

// readRecords reads the records of --from-records into the picture.
func (m *mapping) readRecords() error {
	name := m.config.fromRecords
	src, err := input.OpenRecords(m.opener, name)
	if err != nil {
		return tool.UsageErrorf("--from-records %w", files.Named(name, err))
	}
	defer src.Close()
	decoder := record.NewDecoder(src)
	for m.run.Context.Err() == nil {
		var c record.ShiftedCapture
		err := decoder.Decode(&c)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return input.RecordsError("--from-records", name, err, "wanted the records of pcap-map, one a line (jq -c)")
		}
		if c.Path == "" {
			return tool.UsageErrorf("--from-records %s: line %d: the record has no path", files.Display(name, ""), decoder.Line()).WithHint("wanted the records of pcap-map, not those of pcap-tarls")
		}
		moved, ok := c.Moved()
		if !ok {
			return tool.UsageErrorf("--from-records %s: line %d: the shift moves the capture outside 1677 to 2262", files.Display(name, ""), decoder.Line())
		}
		m.count(&moved)
		m.picture.Add(&moved, nil)
	}
	return m.run.Context.Err()
}

func (m *mapping) count(c *record.Capture) {
	m.captures.Add(1)
	m.packets.Add(c.Packets)
	m.bytes.Add(c.Bytes)
	m.wireBytes.Add(c.WireBytes)
}

// put prints the record of a capture, or the reason why it has none.
func (m *mapping) put(result *mapped) error {
	if result.err != nil {
		return m.putFailure(result.file, result.err)
	}
	c := &result.capture
	for _, d := range c.Damage {
		m.problems.Damage(result.file, &stream.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Record, Reason: d.Reason})
	}
	if c.DamageUnlisted > 0 {
		m.run.Messages.Errorf("%s: %s", result.file.Display(), plural.Of(c.DamageUnlisted, "more damaged place"))
	}
	if len(c.Damage) > 0 {
		m.damaged.Add(1)
	}
	m.lostBytes.Add(c.LostBytes)
	m.count(c)
	if m.picture != nil {
		m.picture.Add(c, result.rate)
	}
	if m.table != nil {
		m.table.Add(c)
	}
	if m.records != nil {
		if err := m.records.Encode(c); err != nil {
			return err
		}
	}
	if len(c.Damage) > 0 {
		return m.problems.Stop()
	}
	return nil
}

// putFailure reports why a file has no record.
func (m *mapping) putFailure(file input.File, err error) error {
	if !errors.Is(err, stream.ErrNotCapture) {
		m.problems.Failed(file, err)
	} else if !m.problems.NotCapture(file, err) {
		return nil
	}
	m.failed.Add(1)
	return m.problems.Stop()
}

// counters is the line for SIGUSR1.
func (m *mapping) counters() string {
	return fmt.Sprintf("%s, %s (%s)", plural.Of(m.captures.Load(), "capture"), plural.Of(m.packets.Load(), "packet"), plural.Of(m.bytes.Load(), "byte"))
}

func (m *mapping) summary(head record.Summary) any {
	m.run.Messages.Infof("%s in %v", m.counters(), m.run.Elapsed().Round(time.Millisecond))
	return record.MapSummary{
		Summary: head, Captures: m.captures.Load(), Packets: m.packets.Load(), Bytes: m.bytes.Load(), WireBytes: m.wireBytes.Load(),
		Damaged: m.damaged.Load(), LostBytes: m.lostBytes.Load(), Failed: m.failed.Load(), Skipped: m.problems.Skipped(),
	}
}

// chartSize is the size of the terminal, or that of COLUMNS and LINES.
func (m *mapping) chartSize() chart.Size {
	if !m.run.Flags.IsSet("output") {
		if columns, lines, ok := tool.TerminalSize(m.run.Out); ok {
			return chart.Size{Columns: columns, Lines: lines}
		}
	}
	size := chart.Size{Columns: tool.DefaultColumns}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		size.Columns = columns
	}
	if lines, err := strconv.Atoi(os.Getenv("LINES")); err == nil && lines > 0 {
		size.Lines = lines
	}
	return size
}
