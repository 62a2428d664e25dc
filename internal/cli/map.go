package cli

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// Map is pcap-map.
func Map() *Tool {
	return &Tool{
		Name:     "pcap-map",
		Usage:    "say what is in captures, one record each",
		Operands: "[FILE | FOLDER | ARCHIVE ...]",
		Text: "Reads captures, folders of captures and tarballs, or stdin, to their end and prints a record\n" +
			"for each capture, in the order of the operands. --chart prints a picture instead: when each\n" +
			"capture runs, and how fast its packets come. --svg draws it into a file beside the records.",
		Flags: slices.Concat([]cli.Flag{
			outputFlag(),
			&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Usage: "read `N` files at the same time", DefaultText: "one for each core"},
			&cli.BoolFlag{Name: "strict", Usage: "stop at the first input that is damaged or cannot be read"},
			ignoreZerosFlag(),
			&cli.BoolFlag{Name: "chart", Usage: "draw when each capture runs instead of printing records"},
			&cli.StringFlag{Name: "svg", Usage: "draw that as a picture into `FILE`"},
			&cli.StringFlag{Name: "from-records", Usage: "draw what the records in `FILE` say (-: stdin) instead of reading captures"},
		}, nameFlags()),
		Run: runMap,
	}
}

// mapRun is one run of pcap-map.
type mapRun struct {
	*job
	names   nameFilter
	jobs    int
	parts   int // of one file that are read at the same time
	strict  bool
	chart   bool
	svg     *output // nil without --svg
	records *record.Encoder
	picture *picture // nil unless one is drawn

	captures, packets, bytes atomic.Int64
	wireBytes, lostBytes     int64
	damagedCaptures, failed  int64
}

// mapSummary ends the report.
type mapSummary struct {
	record.Summary
	Captures  int64 `json:"captures"`
	Packets   int64 `json:"packets"`
	Bytes     int64 `json:"bytes"`
	WireBytes int64 `json:"wire_bytes"`
	Damaged   int64 `json:"damaged"` // of the captures
	LostBytes int64 `json:"lost_bytes"`
	Failed    int64 `json:"failed"`  // inputs and members without a record
	Skipped   int   `json:"skipped"` // files and members that are no captures and do not look like ones
}

// descriptorsOfJob is how many files a job has open at most: a tarball twice and its index.
const descriptorsOfJob = 3

func runMap(j *job) error {
	m := &mapRun{job: j}
	if err := m.configure(); err != nil {
		return err
	}
	out, err := j.openOutput(false)
	if err != nil {
		return err
	}
	if m.picture == nil || !m.chart {
		m.records = record.NewEncoder(out)
	}
	j.setCounters(m.counters)
	err = m.run(out)
	m.summarize(err)
	return err
}

// configure reads the flags.
func (m *mapRun) configure() (err error) {
	if m.names, err = m.nameFilter(); err != nil {
		return err
	}
	m.strict, m.chart, m.jobs = m.flags.Bool("strict"), m.flags.Bool("chart"), runtime.GOMAXPROCS(0)
	if m.flags.IsSet("jobs") {
		if m.jobs = m.flags.Int("jobs"); m.jobs < 1 {
			return usageErrorf("--jobs %d: wanted 1 or more", m.jobs)
		}
	}
	m.jobs = min(m.jobs, max(descriptorLimit()/descriptorsOfJob, 1))
	if m.flags.IsSet("from-records") {
		switch {
		case !m.chart && !m.flags.IsSet("svg"):
			return usageErrorf("--from-records draws: it wants --chart or --svg")
		case len(m.operands()) > 0:
			return usageErrorf("--from-records takes no captures, such as %q", m.operands()[0])
		}
	}
	if name := m.flags.String("svg"); name != "" {
		if name == "-" {
			return usageErrorf("--svg -: wanted a file: stdout is for records")
		}
		if m.svg, err = createOutput(name); err != nil {
			return usageErrorf("--svg %w", namedError(name, err))
		}
		m.onEnd(m.svg.abandon)
	}
	if m.chart || m.svg != nil {
		m.picture = &picture{}
	}
	return nil
}

func (m *mapRun) run(out *output) error {
	var err error
	if m.flags.IsSet("from-records") {
		err = m.drawRecords(m.flags.String("from-records"))
	} else {
		err = m.readCaptures()
	}
	if err != nil {
		return err
	}
	if m.failed > 0 && m.captures.Load() == 0 {
		return errReported
	}
	if m.chart {
		if err := m.picture.chart(out, m.chartSize()); err != nil {
			return err
		}
	}
	if m.svg != nil {
		if err := m.picture.svg(m.svg); err != nil {
			return namedError(m.svg.name, err)
		}
		if err := m.svg.commit(); err != nil {
			return err
		}
	}
	return out.commit()
}

// readCaptures maps the operands.
func (m *mapRun) readCaptures() error {
	if operands := m.operands(); len(operands) == 0 || slices.Contains(operands, "-") {
		if _, err := m.readStdin(); err != nil {
			return err
		}
	}
	inputs, failed, err := m.expandOperands(m.operands(), m.names)
	m.failed = int64(failed)
	switch {
	case err != nil:
		return err
	case failed > 0 && m.strict:
		return errReported
	}
	paths := make([]string, len(inputs))
	for i, in := range inputs {
		paths[i] = in.path
	}
	m.parts = m.jobs / max(len(inputs), 1)
	m.jobs = min(m.jobs, len(inputs))
	m.progress.start(m.totalSize(paths), nil)
	err = m.surveyAll(inputs)
	m.sayBystanders()
	if err == nil && m.strict && m.damaged.Load() { // a tarball between its members
		return errReported
	}
	return err
}

// put prints what became of a capture.
func (m *mapRun) put(result *mapped) error {
	if result.err != nil {
		return m.putFailure(result.input, result.err)
	}
	c := &result.capture
	for _, d := range c.Damage {
		m.damage(result.path, result.archive, &stream.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Record, Reason: d.Reason})
	}
	if c.DamageUnlisted > 0 {
		m.errorf("%s: %d more broken places", result.display(), c.DamageUnlisted)
	}
	if len(c.Damage) > 0 {
		m.damagedCaptures++
	}
	m.lostBytes += c.LostBytes
	m.wireBytes += c.WireBytes
	m.captures.Add(1)
	m.packets.Add(c.Packets)
	m.bytes.Add(c.Bytes)
	if m.picture != nil {
		m.picture.add(c, result.rate)
	}
	if m.records != nil {
		if err := m.records.Encode(c); err != nil {
			return err
		}
	}
	if len(c.Damage) > 0 && m.strict {
		return errReported
	}
	return nil
}

// putFailure says why there is no record of an input.
func (m *mapRun) putFailure(in input, err error) error {
	switch {
	case errors.Is(err, stream.ErrNotCapture):
		if !m.notCapture(in, err) {
			return nil
		}
	case in.archive != "":
		m.memberFailed(in.archive, in.path, err)
	default:
		m.inputFailed(in.path, err)
	}
	m.failed++
	if m.strict {
		return errReported
	}
	return nil
}

// counters is the line for SIGUSR1.
func (m *mapRun) counters() string {
	return fmt.Sprintf("%d captures, %d packets (%d bytes)", m.captures.Load(), m.packets.Load(), m.bytes.Load())
}

func (m *mapRun) summarize(err error) {
	m.report.event(mapSummary{
		Summary: m.summary(m.exitSoFar(err)), Captures: m.captures.Load(), Packets: m.packets.Load(), Bytes: m.bytes.Load(),
		WireBytes: m.wireBytes, Damaged: m.damagedCaptures, LostBytes: m.lostBytes, Failed: m.failed, Skipped: m.bystanders.count,
	})
	m.infof("%s in %v", m.counters(), time.Since(m.started).Round(time.Millisecond))
}

// drawRecords makes the picture of what records say.
func (m *mapRun) drawRecords(name string) error {
	src, err := m.openSelection(name)
	if err != nil {
		return usageErrorf("--from-records %w", namedError(name, err))
	}
	defer src.Close()
	decoder := record.NewDecoder(src)
	for m.ctx.Err() == nil {
		var c record.Capture
		err := decoder.Decode(&c)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return recordsFailed("--from-records", name, err, "wanted the records of pcap-map, one a line (jq -c)")
		}
		if c.Path == "" {
			return usageErrorf("--from-records %s: line %d: a record without path", displayName(name, ""), decoder.Line())
		}
		m.captures.Add(1)
		m.packets.Add(c.Packets)
		m.bytes.Add(c.Bytes)
		m.wireBytes += c.WireBytes
		m.picture.add(&c, nil)
	}
	return m.ctx.Err()
}
