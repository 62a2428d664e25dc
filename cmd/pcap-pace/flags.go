package main

import (
	"math"
	"slices"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/rewrite"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// startLead is how long before their departure the packets of --start-at are written, so
// that pcap-inject receives them in time.
const startLead = time.Second

// config is what the flags of pcap-pace say.
type config struct {
	timeScale schedule.TimeScale
	fit       time.Duration // 0 without
	span      int64         // for fit; 0 if it is to be measured
	from, to  int64         // to is exclusive
	loop      int64
	startAt   *int64 // Unix nanoseconds
	lead      time.Duration
	exact     bool
	asap      bool
	keep      bool
	writer    stream.WriterOptions
	rewriter  *rewrite.Rewriter // nil changes nothing
}

func configure(flags *tool.Flags, opener *input.Opener, problems *input.Problems) (c config, err error) {
	conflicts := [][]string{
		{"speed", "fit", "pps", "bps"}, {"max-gap", "fit"}, {"max-gap", "pps"}, {"max-gap", "bps"},
		{"span", "select"}, {"asap", "exact"}, {"asap", "lead"}, {"start-at", "keep-timestamps"},
	}
	if err := flags.CheckConflicts(conflicts); err != nil {
		return c, err
	}
	for _, name := range []string{"span", "select"} {
		if flags.IsSet(name) && !flags.IsSet("fit") {
			return c, tool.UsageErrorf("--%s needs --fit", name)
		}
	}
	if c.timeScale, err = parseTimeScale(flags); err != nil {
		return c, err
	}
	if c.from, c.to, err = flags.TimeRange(); err != nil {
		return c, err
	}
	if c.loop, err = flags.Loop(); err != nil {
		return c, err
	}
	unique, err := flags.UniqueFlows()
	if err != nil {
		return c, err
	}
	if unique {
		c.rewriter = rewrite.WithRounds(nil)
	}
	c.exact, c.asap, c.keep = flags.Bool("exact"), flags.Bool("asap"), flags.Bool("keep-timestamps")
	if err := c.readStart(flags); err != nil {
		return c, err
	}
	if c.writer, err = flags.WriterOptions(); err != nil {
		return c, err
	}
	return c, c.readFit(flags, opener, problems)
}

func parseTimeScale(flags *tool.Flags) (b schedule.TimeScale, err error) {
	if flags.IsSet("speed") {
		text := flags.String("speed")
		if b.Speed, err = schedule.ParseSpeed(text); err != nil {
			return b, tool.UsageErrorf("--speed %q: %w", text, err)
		}
	}
	if b.Packets, err = parseRate(flags, "pps"); err != nil {
		return b, err
	}
	if b.Bits, err = parseRate(flags, "bps"); err != nil {
		return b, err
	}
	b.MaxGap, err = flags.PositiveDuration("max-gap")
	return b, err
}

// parseRate reads --pps or --bps; it is 0 without the flag.
func parseRate(flags *tool.Flags, flag string) (schedule.Rate, error) {
	if !flags.IsSet(flag) {
		return 0, nil
	}
	text := flags.String(flag)
	perSecond, err := tool.ParseRate(flag, text)
	if err != nil {
		return 0, err
	}
	rate, err := schedule.NewRate(perSecond)
	if err != nil {
		return 0, tool.UsageErrorf("--%s %q: %w", flag, text, err)
	}
	return rate, nil
}

// startHint is for a value of --start-at that is no time or is in the past.
const startHint = "give a time in the future, such as \"$(date -d '+5 seconds' +%s)\""

// readStart reads --start-at and --lead.
func (c *config) readStart(flags *tool.Flags) (err error) {
	if text := flags.String("start-at"); text != "" {
		moment, err := tool.ParseTime("start-at", text)
		if err != nil {
			return tool.WithHint(err, startHint)
		}
		if late := time.Since(time.Unix(0, moment)); late > 0 && !c.asap {
			return tool.UsageErrorf("--start-at %q is %s ago", text, duration.Text(late.Seconds())).
				WithHint(startHint)
		}
		c.startAt, c.lead = &moment, startLead
	}
	if text := flags.String("lead"); text != "" {
		if c.lead, err = flags.Duration("lead"); err != nil {
			return err
		}
	}
	return nil
}

// readFit reads --fit and the flags that give the duration of the input.
func (c *config) readFit(flags *tool.Flags, opener *input.Opener, problems *input.Problems) (err error) {
	if c.fit, err = flags.PositiveDuration("fit"); err != nil {
		return err
	}
	span, err := flags.PositiveDuration("span")
	if err != nil {
		return err
	}
	c.span = int64(span)
	name := flags.String("select")
	if name == "" {
		return nil
	}
	if name == "-" && (len(flags.Operands()) == 0 || slices.Contains(flags.Operands(), "-")) {
		return tool.UsageErrorf("stdin cannot be both an input and the records of --select")
	}
	selection, err := input.ReadSelection(opener, name)
	if err != nil {
		return err
	}
	earliest, latest := int64(math.MaxInt64), int64(math.MinInt64)
	for _, s := range selection {
		if o := s.CompareFileSize(); o != nil {
			problems.Outdated(input.File{Path: s.Path}, o)
		}
		if begins, ends := s.Range(); begins != nil && ends != nil {
			earliest, latest = min(earliest, *begins), max(latest, *ends)
		}
	}
	if earliest > latest {
		return tool.UsageErrorf("--select %s: no record has earliest and latest", files.Display(name, "")).
			WithHint("wanted the records of pcap-map")
	}
	c.span = min(latest, c.to-1) - max(earliest, c.from)
	if c.span <= 0 {
		return tool.UsageErrorf("--select %s: its captures are %v long", files.Display(name, ""), time.Duration(max(c.span, 0)))
	}
	return nil
}

// checkRewinds returns an error if the inputs cannot be read as often as necessary.
func (c *config) checkRewinds(playback *input.Playback) error {
	if c.loop != 1 {
		if err := playback.CheckRewinds("--loop", "pcap-merge --loop reads captures from files and folders"); err != nil {
			return err
		}
	}
	if c.fit > 0 && c.span == 0 {
		return playback.CheckRewinds("--fit", "say how long it is with --span, or with --select and the records of pcap-map")
	}
	return nil
}
