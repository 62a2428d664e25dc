package cli

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"slices"
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
			"the first packet, also where the member itself is compressed. An archive with a fresh index\n" +
			"(--index) is not read: the index answers.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.StringSliceFlag{Name: "match", Usage: "list only members whose name matches `REGEXP` (may be given again)"},
			&cli.BoolFlag{Name: "names", Usage: "print names only, control characters escaped as tar -t does"},
			&cli.BoolFlag{Name: "null", Aliases: []string{"0"}, Usage: "print names only, as they are, each ended by a zero byte"},
			&cli.BoolFlag{Name: "index", Usage: "write the seek index ARCHIVE.tarx in the same pass"},
			&cli.BoolFlag{Name: "verify", Usage: "check the index of each archive against it, and list nothing"},
			ignoreZerosFlag(),
			strictFlag(),
		},
		Run: runTarLs,
	}
}

// tarLister prints members.
type tarLister struct {
	job      *job
	match    []*regexp.Regexp
	print    func(archive string, m *archive.Member) error
	inspects bool // the content of members is wanted
	indexes  bool
	failed   int // archives
	members  atomic.Int64
	listed   int64
	captures int64
	bytes    int64
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
	if err := checkStdinOnce(archives); err != nil {
		return err
	}
	if err := checkIndexFlags(j, archives); err != nil {
		return err
	}
	out, err := j.openOutput(false)
	if err != nil {
		return err
	}
	l := &tarLister{job: j, match: match, indexes: j.flags.Bool("index")}
	l.setFormat(out)
	j.setCounters(func() string { return fmt.Sprintf("%d members", l.members.Load()) })
	j.progress.start(j.totalSize(archives), nil)
	err = l.run(archives, out)
	j.report.event(record.TarlsSummary{
		Summary: j.summary(j.exitSoFar(err)), Archives: len(archives), Failed: l.failed,
		Members: l.members.Load(), Listed: l.listed, Captures: l.captures, Bytes: l.bytes,
	})
	return err
}

func (l *tarLister) run(archives []string, out *output) error {
	for _, path := range archives {
		err := l.listArchive(path)
		if err != nil {
			l.failed++
		}
		if err := l.job.archiveFailed(path, err); err != nil {
			return err
		}
		if err := l.job.strictly(); err != nil {
			return err
		}
	}
	if l.failed == len(archives) {
		return errReported
	}
	return out.commit()
}

// checkIndexFlags wants files for what is about indexes.
func checkIndexFlags(j *job, archives []string) error {
	for _, flag := range []string{"index", "verify"} {
		if j.flags.Bool(flag) && slices.Contains(archives, "-") {
			return usageErrorf("--%s wants a file: stdin has no index beside it", flag)
		}
	}
	if j.flags.Bool("index") && j.flags.Bool("verify") {
		return usageErrorf("--index and --verify do not go together")
	}
	return nil
}

// listArchive lists one archive, from its index if there is a fresh one.
func (l *tarLister) listArchive(path string) error {
	j := l.job
	visit := func(r *archive.Reader, m *archive.Member) error { return l.list(path, r, m) }
	switch {
	case l.indexes:
		return l.indexArchive(path, visit)
	case j.flags.Bool("verify"):
		return j.verifyIndex(path)
	}
	indexed := j.openIndexed(path, openSource)
	if indexed == nil {
		return j.walkUnindexed(path, visit)
	}
	defer indexed.Close()
	reader := indexed.NewReader(nil)
	return indexed.Each(func(m *archive.Member) error { return visit(reader, m) })
}

// indexArchive lists an archive and makes its index.
func (l *tarLister) indexArchive(path string, visit func(*archive.Reader, *archive.Member) error) error {
	j := l.job
	in, err := j.openInput(path)
	if err != nil {
		return err
	}
	defer in.Close()
	file, ok := in.(*inputFile)
	if !ok {
		return errors.New("is not a file")
	}
	reader, err := archive.NewIndexingReader(&archiveSource{ctx: j.ctx, file: file, progress: j.progress}, file.File)
	if err != nil {
		return fmt.Errorf("index: %w", withoutPath(err))
	}
	defer reader.Close()
	if err := j.walkReader(path, reader, visit); err != nil {
		return err
	}
	if err := reader.FinishIndex(); err != nil {
		return fmt.Errorf("index: %w", withoutLinkPath(err))
	}
	return nil
}

// verifyIndex checks the index of an archive.
func (j *job) verifyIndex(path string) error {
	indexed, err := archive.OpenIndexed(path)
	if err != nil {
		return fmt.Errorf("index: %w", withoutPath(err))
	}
	defer indexed.Close()
	in, err := j.openInput(path)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := indexed.Verify(&archiveSource{ctx: j.ctx, file: in, progress: j.progress}); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	j.infof("%s: the index is right", displayName(path, ""))
	return nil
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
	if err := l.job.strictly(); err != nil {
		return asOutputError(err)
	}
	l.members.Add(1)
	isListed := len(l.match) == 0 || matchesAny(l.match, m.Name)
	if !isListed && !l.indexes {
		return nil
	}
	if l.inspects || l.indexes {
		r.Inspect()
	}
	if !isListed {
		return nil
	}
	if m.Content.IsCapture() {
		l.captures++
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
