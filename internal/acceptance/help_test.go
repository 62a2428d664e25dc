package acceptance

import (
	"regexp"
	"strings"
	"testing"
)

// helpLine is what --help says of a flag: names, value, the same again for a flag that may
// be given again, the text, and the default.
var helpLine = regexp.MustCompile(`(?m)^   --(\S+)(?: ([A-Z/]+|value))?(?:, -(\S)(?: \S+)?)?( \[ .* \])?  +(.*?)(?: \(default: (.*)\))?$`)

// completedFlags are the flags of a tool as --help tells them.
func completedFlags(t *testing.T, tool string) (flags []completedFlag) {
	t.Helper()
	code, help, _ := run(tool, nil, "--help")
	if code != exitDone {
		t.Fatalf("%s --help: exit %d", tool, code)
	}
	_, table, _ := strings.Cut(help, "\nflags:\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, parts := range helpLine.FindAllStringSubmatch(table, -1) {
		f := completedFlag{long: "--" + parts[1], kind: parts[2], repeats: parts[4] != "", text: parts[5], fallback: strings.Trim(parts[6], `"`)}
		if parts[3] != "" {
			f.short = "-" + parts[3]
		}
		if f.kind == "value" || f.kind == "METHOD" {
			f.words = wordsOf(t, tool, f.long)
		}
		if f.kind == "value" {
			f.kind = strings.ToUpper(parts[1])
		}
		flags = append(flags, f)
	}
	if lines := strings.Count(table, "\n") + 1; len(flags) != lines {
		t.Fatalf("%s --help: %d flags in %d lines", tool, len(flags), lines)
	}
	return flags
}

// wordsOf are the words of which a flag takes one: those that it names when it refuses
// another.
func wordsOf(t *testing.T, tool, flag string) []string {
	t.Helper()
	args := []string{flag, "no-such-word"}
	if tool == "pcap-inject" {
		args = append(args, "-i", "lo")
	}
	_, _, messages := run(tool, nil, args...)
	line, _, _ := strings.Cut(messages, "\n")
	_, words, ok := strings.Cut(line, `"no-such-word": wanted `)
	if !ok {
		t.Fatalf("%s %s: %s", tool, flag, line)
	}
	return strings.FieldsFunc(strings.ReplaceAll(words, " or ", ","), func(r rune) bool { return r == ',' || r == ' ' })
}
