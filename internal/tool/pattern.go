package tool

import (
	"fmt"
	"regexp"
	"strings"
)

// CompilePatterns compiles the regular expressions of a flag or of operands.
func CompilePatterns(what string, texts []string) ([]*regexp.Regexp, error) {
	patterns := make([]*regexp.Regexp, len(texts))
	for i, text := range texts {
		pattern, err := regexp.Compile(text)
		if err != nil {
			return nil, UsageErrorf("%s %q: %w", what, text, err).WithHint(PatternHint(text))
		}
		patterns[i] = pattern
	}
	return patterns, nil
}

// PatternHint returns the regular expression for a shell pattern such as *.pcap, as a hint.
// It returns "" for other text.
func PatternHint(text string) string {
	if !strings.ContainsAny(text, "*?") || strings.Contains(text, ".*") || strings.ContainsAny(text, `\()|+^$[]{}`) {
		return ""
	}
	return fmt.Sprintf("%s is a shell pattern; as a regular expression it is '%s'", text, asRegexp(text))
}

// asRegexp translates a shell pattern. A regular expression may match any part of a name.
func asRegexp(pattern string) string {
	end := "$"
	if strings.HasSuffix(pattern, "*") {
		end = ""
	}
	quoted := regexp.QuoteMeta(strings.Trim(pattern, "*"))
	return strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(quoted) + end
}
