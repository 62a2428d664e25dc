//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// claim says how the medians of contenders should compare:
//
//	time mergecap/pcap-merge >= 2.8
//	p99 pcap-inject/tcpreplay|floor <= 1.5    over the larger of two
//	peak pcap-merge <= 256                    one alone
type claim struct {
	text, figure    string
	over            []string // contenders above the line: the largest of them counts
	under           []string // below it; empty for 1
	atLeast, atMost bool
	limit           float64
}

func parseClaim(text string) (c claim, err error) {
	fields := strings.Fields(text)
	if len(fields) != 4 {
		return c, fmt.Errorf("claim %q: wanted 4 words, got %d", text, len(fields))
	}
	c = claim{text: text, figure: fields[0], atLeast: fields[2] == ">=", atMost: fields[2] == "<="}
	if !c.atLeast && !c.atMost {
		return c, fmt.Errorf("claim %q: wanted >= or <=, got %q", text, fields[2])
	}
	over, under, isRatio := strings.Cut(fields[1], "/")
	c.over = strings.Split(over, "|")
	if isRatio {
		c.under = strings.Split(under, "|")
	}
	c.limit, err = strconv.ParseFloat(fields[3], 64)
	return c, err
}

// verdict is a claim with what came of it.
type verdict struct {
	Title string  `json:"title"`
	Claim string  `json:"claim"`
	Value float64 `json:"value"`
	Holds bool    `json:"holds"`
}

// checkClaims says of each claim whether it holds.
func (c *contest) checkClaims(results []result) error {
	for _, claim := range c.claims {
		v, ok := claim.check(results)
		if !ok {
			continue
		}
		v.Title = c.title
		word := "missed"
		if v.Holds {
			word = "holds"
		}
		fmt.Printf("  %-6s %s: %.4g\n", word, v.Claim, v.Value)
		if err := appendLine(c.bench.ndjson, v); err != nil {
			return err
		}
	}
	return nil
}

// check compares; ok is false where a contender does not take part.
func (c claim) check(results []result) (v verdict, ok bool) {
	over, hasOver := largest(results, c.over, c.figure)
	under, hasUnder := largest(results, c.under, c.figure)
	if len(c.under) == 0 {
		under, hasUnder = 1, true
	}
	value := over / under
	holds := c.atLeast && value >= c.limit || c.atMost && value <= c.limit
	return verdict{Claim: c.text, Value: value, Holds: holds}, hasOver && hasUnder
}

// largest is the largest median of the contenders named, as far as they take part.
func largest(results []result, names []string, figure string) (value float64, found bool) {
	for _, name := range names {
		for _, r := range results {
			if median, ok := r.Median[figure]; ok && r.Contender == name && (!found || median > value) {
				value, found = median, true
			}
		}
	}
	return value, found
}
