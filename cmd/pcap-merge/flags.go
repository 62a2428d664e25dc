package main

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"pcap-replay/internal/input"
	"pcap-replay/internal/rewrite"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// config is what the flags say.
type config struct {
	names       input.Names
	selects     bool // --select is given
	selection   []input.Selected
	ignoreZeros bool
	selector    *selector
	rewriter    *rewrite.Rewriter // nil changes nothing
	loop        int64             // rounds; 0: forever
	align       bool
	reorder     int64 // nanoseconds
	memory      int64 // bytes
	tmp         string
	follow      string        // a folder, or ""
	idle        time.Duration // 0 never ends
	writer      *stream.WriterOptions
}

func configure(flags *tool.Flags, opener *input.Opener) (c config, err error) {
	if c.names, err = input.ParseNames(flags); err != nil {
		return c, err
	}
	writer, err := flags.WriterOptions()
	if err != nil {
		return c, err
	}
	c.writer = &writer
	if c.selector, err = newSelector(flags, c.writer); err != nil {
		return c, err
	}
	if c.rewriter, err = tool.Rewriter(flags, rewrite.New); err != nil {
		return c, err
	}
	unique, err := flags.UniqueFlows()
	if err != nil {
		return c, err
	}
	if unique {
		c.rewriter = rewrite.WithRounds(c.rewriter)
	}
	c.writer.Snaplen = c.selector.snaplen
	if c.loop, err = flags.Loop(); err != nil {
		return c, err
	}
	c.align = flags.Bool("align")
	reorder, err := flags.Duration("reorder")
	if err != nil {
		return c, err
	}
	c.reorder = int64(reorder)
	if c.memory, c.tmp, err = flags.Memory(); err != nil {
		return c, err
	}
	if err := c.readFollow(flags); err != nil {
		return c, err
	}
	c.ignoreZeros = flags.Bool("ignore-zeros")
	return c, c.readSelection(flags, opener)
}

// readFollow reads --follow and --idle.
func (c *config) readFollow(flags *tool.Flags) (err error) {
	if c.follow = flags.String("follow"); c.follow == "" {
		if flags.IsSet("idle") {
			return tool.UsageErrorf("--idle needs --follow FOLDER")
		}
		return nil
	}
	if len(flags.Operands()) > 0 || flags.IsSet("select") || flags.IsSet("loop") || flags.Bool("align") {
		return tool.UsageErrorf("--follow %q cannot be combined with operands, --select, --loop or --align", c.follow)
	}
	switch err := tool.CheckFolder("--follow", c.follow); {
	case errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil:
		return tool.WithHint(err, "--follow FOLDER --match REGEXP follows the files whose names match")
	}
	c.idle, err = flags.PositiveDuration("idle")
	return err
}

// readSelection reads the records of --select.
func (c *config) readSelection(flags *tool.Flags, opener *input.Opener) (err error) {
	if c.selects = flags.IsSet("select"); !c.selects {
		return nil
	}
	name := flags.String("select")
	if name == "-" && slices.Contains(flags.Operands(), "-") {
		return tool.UsageErrorf("stdin cannot be both an input and the records of --select")
	}
	c.selection, err = input.ReadSelection(opener, name)
	return err
}
