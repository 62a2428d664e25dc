//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// contest measures contenders in turn, so that what else the machine does hits
// all of them alike, and compares the medians.
type contest struct {
	bench      *bench
	title      string
	figures    []figure // what is measured; the first is the one that counts
	contenders []contender
	claims     []claim
	before     string // pipeline in front of each run, not measured
}

func (b *bench) contest(title string) *contest { return &contest{bench: b, title: title} }

// ours adds a contender.
func (c *contest) ours(name, command string) {
	c.contenders = append(c.contenders, contender{name, command})
}

// peer adds a contender that uses a program, if that is installed.
func (c *contest) peer(program, name, command string) {
	if !has(program) {
		c.leaveOut("%s: no %s", name, program)
		return
	}
	c.ours(name, command)
}

func (c *contest) leaveOut(format string, values ...any) {
	say("%s: left out: "+format, append([]any{c.title}, values...)...)
}

// tcpreplays adds each tcpreplay, which runs with the same arguments.
func (c *contest) tcpreplays(before, arguments string) {
	for _, t := range c.bench.tcpreplays {
		c.peer(t.path, t.name, before+t.path+" "+arguments+" > /dev/null")
	}
}

// want adds a claim. One that names tcpreplay is made of each.
func (c *contest) want(text string) {
	for _, t := range c.bench.tcpreplays {
		one := strings.ReplaceAll(text, "tcpreplay", t.name)
		if one == text && t.name != "tcpreplay" {
			continue
		}
		c.bench.do(func() error {
			claim, err := parseClaim(one)
			c.claims = append(c.claims, claim)
			return err
		})
	}
}

// figure is a quantity that is measured.
type figure struct {
	name   string // with the unit, as a column says it
	key    string // in NDJSON, and in claims
	digits int    // after the point
}

// contender is one of those who do the same job.
type contender struct{ name, command string }

// result is what a contender showed.
type result struct {
	Title     string               `json:"title"`
	Contender string               `json:"contender"`
	Command   string               `json:"command"`
	Median    map[string]float64   `json:"median"`
	Runs      map[string][]float64 `json:"runs"`
}

// hold runs the contest and prints its table. measure gives a value for each figure.
func (c *contest) hold(measure func(contender) ([]float64, error)) {
	c.bench.do(func() error { return c.compare(measure) })
}

func (c *contest) compare(measure func(contender) ([]float64, error)) error {
	results := make([]result, len(c.contenders))
	for i, contender := range c.contenders {
		results[i] = result{c.title, contender.name, contender.command, map[string]float64{}, map[string][]float64{}}
	}
	for range c.bench.runs {
		for i, contender := range c.contenders {
			if c.before != "" {
				if _, err := shell(c.before); err != nil {
					return err
				}
			}
			values, err := measure(contender)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.title, contender.name, err)
			}
			for j, figure := range c.figures {
				results[i].Runs[figure.key] = append(results[i].Runs[figure.key], values[j])
			}
		}
	}
	for _, r := range results {
		for key, values := range r.Runs {
			r.Median[key] = median(values)
		}
		if err := appendLine(c.bench.ndjson, r); err != nil {
			return err
		}
	}
	c.print(results)
	return c.checkClaims(results)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// print shows medians, and how far apart the runs were in what counts.
func (c *contest) print(results []result) {
	fmt.Printf("\n%s\n", c.title)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	cells := []string{"", c.figures[0].name, "least", "most", "ratio"}
	for _, figure := range c.figures[1:] {
		cells = append(cells, figure.name)
	}
	row := func(cells []string) { fmt.Fprintln(table, strings.Join(cells, "\t")+"\t") }
	row(cells)
	first := c.figures[0]
	number := func(value float64, digits int) string { return fmt.Sprintf("%.*f", digits, value) }
	for _, r := range results {
		value, runs := r.Median[first.key], r.Runs[first.key]
		cells := []string{
			r.Contender, number(value, first.digits), number(slices.Min(runs), first.digits), number(slices.Max(runs), first.digits),
			number(value/results[0].Median[first.key], 2),
		}
		for _, figure := range c.figures[1:] {
			cells = append(cells, number(r.Median[figure.key], figure.digits))
		}
		row(cells)
	}
	_ = table.Flush()
}
