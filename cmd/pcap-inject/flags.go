package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/filter"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/rewrite"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tunnel"
	"pcap-replay/internal/wire"
)

// maxWorkers limits the memory of the rings: 64 rings of 40 MiB take 2.5 GiB.
const maxWorkers = 64

// config is what the flags of pcap-inject say.
type config struct {
	interfaces []string
	file       string
	to         *destination // or nil
	split      *splitter    // or nil; with two interfaces
	delay      time.Duration
	maxGap     time.Duration // 0 leaves gaps as they are
	at, asap   bool
	policies   frame.Policies
	tx         txPolicy
	workers    int
	realtime   bool
	spin       bool
	verify     bool
	limit      int64
	duration   time.Duration
	failLate   time.Duration
	decap      *tunnel.Decapsulator
	filter     *filter.Packets
	rewriter   *rewrite.Rewriter // nil changes nothing
}

func configure(flags *tool.Flags) (c config, err error) {
	conflicts := [][]string{
		{"interface", "write"}, {"interface", "to"}, {"write", "to"}, {"to", "tx"}, {"delay", "at"}, {"delay", "asap"}, {"at", "asap"}, {"asap", "fail-late"}, {"asap", "verify"}, {"asap", "spin"},
		{"max-gap", "at"}, {"max-gap", "asap"},
		{"write", "oversize"}, {"write", "short"}, {"write", "link"}, {"write", "tx"}, {"write", "workers"}, {"write", "verify"},
		{"write", "split"}, {"to", "split"}, {"split", "workers"},
	}
	if err := flags.CheckConflicts(conflicts); err != nil {
		return c, err
	}
	c.interfaces, c.file = flags.Strings("interface"), flags.String("write")
	if len(c.interfaces) == 0 && c.file == "" && !flags.IsSet("to") {
		return c, tool.UsageErrorf("wanted -i INTERFACE, -w FILE or --to URL").
			WithHint("the interfaces are " + strings.Join(wire.Names(), ", "))
	}
	if flags.IsSet("to") {
		if c.to, err = parseDestination(flags.String("to")); err != nil {
			return c, err
		}
	}
	if err := c.readSplit(flags); err != nil {
		return c, err
	}
	if c.delay, err = flags.Duration("delay"); err != nil {
		return c, err
	}
	if c.maxGap, err = flags.PositiveDuration("max-gap"); err != nil {
		return c, err
	}
	c.at, c.asap, c.realtime, c.spin = flags.Bool("at"), flags.Bool("asap"), flags.Bool("realtime"), flags.Bool("spin")
	if err := c.readPolicies(flags); err != nil {
		return c, err
	}
	if c.workers = int(flags.Int64("workers")); c.workers < 1 || c.workers > maxWorkers {
		return c, tool.UsageErrorf("--workers %d: wanted from 1 to %d", c.workers, maxWorkers)
	}
	c.verify = flags.Bool("verify")
	if c.limit = flags.Int64("limit"); c.limit < 0 || c.limit == 0 && flags.IsSet("limit") {
		return c, tool.UsageErrorf("--limit %d: wanted 1 or more", c.limit)
	}
	if c.duration, err = flags.PositiveDuration("duration"); err != nil {
		return c, err
	}
	if c.failLate, err = flags.PositiveDuration("fail-late"); err != nil {
		return c, err
	}
	if c.decap, err = tool.Decap(flags, tunnel.NewDecapsulator); err != nil {
		return c, err
	}
	if c.filter, err = tool.Filter(flags, filter.NewPackets); err != nil {
		return c, err
	}
	c.rewriter, err = tool.Rewriter(flags, rewrite.New)
	return c, err
}

// readSplit reads --split. It needs two interfaces, and two interfaces need it.
func (c *config) readSplit(flags *tool.Flags) (err error) {
	count := len(c.interfaces)
	switch isSplit := flags.IsSet("split"); {
	case slices.Contains(c.interfaces, ""):
		return tool.UsageErrorf("-i \"\": wanted a value")
	case count > 2:
		return tool.UsageErrorf("wanted one or two interfaces, got %d", count)
	case count == 2 && c.interfaces[0] == c.interfaces[1]:
		return tool.UsageErrorf("-i %s is given twice: wanted two different interfaces", c.interfaces[0])
	case count == 2 && !isSplit:
		return tool.UsageErrorf("-i %s and -i %s: wanted --split as well", c.interfaces[0], c.interfaces[1]).
			WithHint("--split EXPRESSION sends what matches on " + c.interfaces[0] + ", and the rest on " + c.interfaces[1])
	case !isSplit:
		return nil
	case count == 1:
		return tool.UsageErrorf("--split: wanted two interfaces, got 1").WithHint(hintForSecond(c.interfaces[0], flags.Operands()))
	}
	c.split, err = newSplitter(flags.String("split"))
	return err
}

// hintForSecond returns the two flags that --split needs. The second interface may have been
// given without a flag, as in -i eth1 eth2, or as in -i eth1,eth2.
func hintForSecond(first string, operands []string) string {
	first, second, isList := strings.Cut(first, ",")
	switch {
	case isList:
	case len(operands) > 0 && slices.Contains(wire.Names(), operands[0]):
		second = operands[0]
	default:
		second = "INTERFACE"
	}
	return "give -i twice: " + files.QuoteLine([]string{"-i", first, "-i", second})
}

// txPolicy selects the kind of socket that sends.
type txPolicy int

const (
	txAuto txPolicy = iota
	txPacket
	txBypass
	txXDP
)

// The values of the flags that are one of a few words, in the order of the policies.
var (
	oversizeWords = []string{"error", "skip", "truncate", "segment"}
	shortWords    = []string{"pad", "asis", "skip"}
	linkWords     = []string{"refuse", "ethernet"}
	txWords       = []string{"auto", "packet", "bypass", "xdp"}
)

// readPolicies reads the flags that are one of a few words.
func (c *config) readPolicies(flags *tool.Flags) (err error) {
	oneOf := func(name string, words []string) int {
		word, wordErr := flags.OneOf(name, words)
		err = cmp.Or(err, wordErr)
		return slices.Index(words, word)
	}
	c.policies = frame.Policies{
		Oversize: frame.OversizePolicy(oneOf("oversize", oversizeWords)),
		Short:    frame.ShortPolicy(oneOf("short", shortWords)),
		Link:     frame.LinkPolicy(oneOf("link", linkWords)),
	}
	c.tx = txPolicy(oneOf("tx", txWords))
	return err
}
