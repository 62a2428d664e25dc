package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// contest measures contenders in turn, so that what else the machine does hits
// all of them alike, and compares the medians.
type contest struct {
	title      string
	figures    []figure // what is measured; the first is the one that counts
	contenders []contender
	claims     []claim
	runs       int
	before     string // pipeline in front of each run, not measured
	ndjson     string
	measure    func(contender) ([]float64, error) // one value a figure
}

// figure is a quantity that is measured.
type figure struct {
	name   string // with the unit, as a column says it
	key    string // in NDJSON, and in claims
	digits int    // after the point
}

// contender is one of those who do the same job.
type contender struct{ name, command string }

// arguments registers the flags that all contests have, and reads them with the
// contenders: each a name and a command of bash.
func (c *contest) arguments(flags *flag.FlagSet, arguments []string) error {
	flags.StringVar(&c.title, "title", "", "what the contest is about")
	flags.IntVar(&c.runs, "runs", 5, "of each contender")
	flags.StringVar(&c.before, "before", "", "`command` to run before each of them")
	flags.StringVar(&c.ndjson, "ndjson", "", "append the results to `FILE`")
	flags.Func("want", "`claim` to check, such as 'time mergecap/pcap-merge >= 2.8'", func(text string) error {
		claim, err := parseClaim(text)
		c.claims = append(c.claims, claim)
		return err
	})
	_ = flags.Parse(arguments)
	rest := flags.Args()
	if len(rest) == 0 || len(rest)%2 != 0 || c.runs < 1 {
		return fmt.Errorf("%s: wanted names and commands of contenders, got %q", c.title, rest)
	}
	for pair := range slices.Chunk(rest, 2) {
		c.contenders = append(c.contenders, contender{pair[0], pair[1]})
	}
	return nil
}

// result is what a contender showed.
type result struct {
	Title     string               `json:"title"`
	Contender string               `json:"contender"`
	Command   string               `json:"command"`
	Median    map[string]float64   `json:"median"`
	Runs      map[string][]float64 `json:"runs"`
}

// hold runs the contest and prints its table.
func (c *contest) hold() error {
	results := make([]result, len(c.contenders))
	for i, contender := range c.contenders {
		results[i] = result{c.title, contender.name, contender.command, map[string]float64{}, map[string][]float64{}}
	}
	for range c.runs {
		for i, contender := range c.contenders {
			if c.before != "" {
				if _, err := shell(c.before); err != nil {
					return err
				}
			}
			values, err := c.measure(contender)
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
		if err := appendLine(c.ndjson, r); err != nil {
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
