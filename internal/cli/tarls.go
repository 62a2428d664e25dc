package cli

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/record"
)

// TarLs is pcap-tarls.
func TarLs() *Tool {
	return &Tool{
		Name:     "pcap-tarls",
		Usage:    "list the members of tarballs, one record a member",
		Operands: "[ARCHIVE ...]",
		Text: "Reads tarballs, compressed with gzip, lz4, zstd, xz, bzip2 or not at all, and prints a record\n" +
			"for each member as it passes. Of a capture the record tells format, link type and the time of\n" +
			"the first packet, also where the member itself is compressed.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.StringSliceFlag{Name: "match", Usage: "list only members whose name matches `REGEXP` (may be given again)"},
			&cli.BoolFlag{Name: "names", Usage: "print names only, control characters escaped as tar -t does"},
			&cli.BoolFlag{Name: "null", Aliases: []string{"0"}, Usage: "print names only, as they are, each ended by a zero byte"},
			ignoreZerosFlag(),
		},
		Run: runTarLs,
	}
}

// tarLister prints members.
type tarLister struct {
	job      *job
	match    []*regexp.Regexp
	print    func(archive string, m *archive.Member) error
	inspects bool
	members  atomic.Int64
	listed   int64
	captures int64
	bytes    int64
}

// tarLsSummary is the last event of a report.
type tarLsSummary struct {
	record.Summary
	Archives int   `json:"archives"`
	Failed   int   `json:"failed"` // archives that could not be read at all
	Members  int64 `json:"members"`
	Listed   int64 `json:"listed"`
	Captures int64 `json:"captures"`
	Bytes    int64 `json:"bytes"` // of the data of the listed members
}

func runTarLs(j *job) error {
	match, err := parsePatterns("--match", j.flags.StringSlice("match"))
	if err != nil {
		return err
	}
	archives := j.operands()
	if len(archives) == 0 {
		archives = []string{"-"}
	}
	out, err := j.openOutput(false)
	if err != nil {
		return err
	}
	l := &tarLister{job: j, match: match}
	l.setFormat(out)
	j.setCounters(func() string { return fmt.Sprintf("%d members", l.members.Load()) })
	j.progress.start(totalSize(archives), nil)

	failed := 0
	for _, path := range archives {
		err := j.walkArchive(path, func(r *archive.Reader, m *archive.Member) error { return l.list(path, r, m) })
		if err := j.archiveFailed(path, err); err != nil {
			return err
		}
		if err != nil {
			failed++
		}
	}
	exit := exitDone
	if failed == len(archives) {
		exit, err = exitFailed, errReported
	} else if err := out.commit(); err != nil {
		return err
	}
	j.report.event(tarLsSummary{
		Summary: j.summary(exit), Archives: len(archives), Failed: failed,
		Members: l.members.Load(), Listed: l.listed, Captures: l.captures, Bytes: l.bytes,
	})
	return err
}

// setFormat decides between records and names.
func (l *tarLister) setFormat(out *output) {
	lines := bufio.NewWriter(out) // one Write a line: it is flushed behind each
	switch {
	case l.job.flags.Bool("null"):
		l.print = func(_ string, m *archive.Member) error {
			lines.WriteString(m.Name)
			lines.WriteByte(0)
			return lines.Flush()
		}
	case l.job.flags.Bool("names"):
		l.print = func(_ string, m *archive.Member) error {
			lines.WriteString(escapeName(m.Name))
			lines.WriteByte('\n')
			return lines.Flush()
		}
	default:
		l.inspects = true
		encoder := record.NewEncoder(out)
		l.print = func(path string, m *archive.Member) error { return encoder.Encode(memberRecord(path, m)) }
	}
}

func (l *tarLister) list(path string, r *archive.Reader, m *archive.Member) error {
	l.members.Add(1)
	if len(l.match) > 0 && !matchesAny(l.match, m.Name) {
		return nil
	}
	if l.inspects {
		r.Inspect()
		if m.Content.IsCapture() {
			l.captures++
		}
	}
	l.listed++
	l.bytes += m.Size
	return asOutputError(l.print(path, m))
}

// escapeName makes a name safe for a terminal and for one line, as GNU tar and ls
// do: control characters and bytes that are not UTF-8 become \n or \033, and a
// backslash is doubled.
func escapeName(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case strings.ContainsRune("\a\b\f\n\r\t\v", r):
			b.WriteByte('\\')
			b.WriteByte("abfnrtv"[strings.IndexRune("\a\b\f\n\r\t\v", r)])
		case unicode.IsControl(r), r == utf8.RuneError && size == 1, unicode.Is(unicode.Cf, r): // Cf turns writing around
			for _, c := range []byte(name[:size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteString(name[:size])
		}
		name = name[size:]
	}
	return b.String()
}
