package input

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// Problems prints and reports what is wrong with inputs. It is safe for concurrent use.
type Problems struct {
	Messages *tool.Messages
	Report   *tool.Report
	Strict   bool // the first problem ends the run

	mutex   sync.Mutex
	skipped []skipped
	damaged map[archivePlace]bool // damage of tarballs that has been reported
}

// skipped counts the files that were skipped for the same reason.
type skipped struct {
	reason string // such as "is not a capture"
	first  File
	count  int
}

// archivePlace is an offset in a tarball.
type archivePlace struct {
	path   string
	offset int64
}

// NewProblems returns Problems that use the messages, the report and --strict of a run.
func NewProblems(run *tool.Run) *Problems {
	return &Problems{Messages: run.Messages, Report: run.Report, Strict: run.Flags.Bool("strict")}
}

// Stop ends the run after a problem, with --strict.
func (p *Problems) Stop() error {
	if p.Strict {
		return tool.ErrReported
	}
	return nil
}

// Check ends the run if there has been a problem, with --strict.
func (p *Problems) Check() error {
	if p.Messages.HaveErrors() {
		return p.Stop()
	}
	return nil
}

// Damage reports a damaged place in a capture. The exit code becomes 3.
func (p *Problems) Damage(file File, d *stream.Damage) {
	p.Messages.Errorf("%s: %w", file.Display(), d)
	p.Report.Damaged(file.Path, file.Archive, record.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Record, Reason: d.Reason})
}

// Unread reports a part of a file that was lost while the file was followed. The exit code
// becomes 3.
func (p *Problems) Unread(file File, err error, offset, lost int64) {
	p.Messages.Errorf("%s: %w", file.Display(), err)
	p.Report.Damaged(file.Path, file.Archive, record.Damage{Offset: offset, Lost: lost, Reason: err.Error()})
}

// ArchiveDamage reports a damaged place in a tarball. The exit code becomes 3. A place is
// reported once, even if it is in the index and found again in a member.
func (p *Problems) ArchiveDamage(path string, d *archive.Damage) {
	if !p.isNewDamage(archivePlace{path, d.Offset}) {
		return
	}
	p.Messages.Errorf("%s: %w", files.Display(path, ""), d)
	p.Report.Damaged(path, "", record.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Member, Reason: d.Reason})
}

// ReportedWithMember says that damage of a tarball is reported as that of a member:
// ArchiveDamage does not report it again.
func (p *Problems) ReportedWithMember(path string, d *archive.Damage) {
	p.isNewDamage(archivePlace{path, d.Offset})
}

func (p *Problems) isNewDamage(place archivePlace) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.damaged[place] {
		return false
	}
	if p.damaged == nil {
		p.damaged = map[archivePlace]bool{}
	}
	p.damaged[place] = true
	return true
}

// quoted matches the first bytes of an input in an error that wraps [stream.ErrNotCapture].
var quoted = regexp.MustCompile(`: begins with "(.*)"$`)

// otherFiles are files that are not captures, by their first bytes as an error quotes them, with
// hints. %s is the name of the file.
var otherFiles = []struct {
	begins *regexp.Regexp
	hint   string
}{
	{regexp.MustCompile(`^{\\"`), "pcap-merge --select %s reads the captures that these records name"},
	{regexp.MustCompile(`^PK\\x03\\x04`), "unzip -p %s writes the captures of a ZIP archive to a pipe"},
	// snoop, Network Monitor, Sniffer and 5Views.
	{regexp.MustCompile(`^(snoop\\x00|GMBU|RTSS|TRSNIFF |\\xaa\\xaa\\xaa\\xaa)`), "editcap -F nsecpcap %s - writes such a capture as a pcap to a pipe"},
	{regexp.MustCompile(`^(\d\d:\d\d:\d\d| +1 )`), "tcpdump -w - and tshark -w - write packets instead of text"},
}

// remote matches the name of a file on another host, as for scp(1).
var remote = regexp.MustCompile(`^([\w.@-]+):(/.*)$`)

// hintFor returns what to do with a file that is missing or not a capture, or "".
func hintFor(file File, err error) string {
	if file.Archive != "" || !errors.Is(err, fs.ErrNotExist) {
		return hintForOther(file, err)
	}
	if strings.Contains(file.Path, "://") {
		return files.QuoteLine([]string{"curl", "-s", file.Path}) + " writes it to a pipe"
	}
	if parts := remote.FindStringSubmatch(file.Path); parts != nil {
		return files.QuoteLine([]string{"ssh", parts[1], "cat", parts[2]}) + " writes it to a pipe"
	}
	if strings.ContainsAny(file.Path, "*?") {
		return "the shell has not replaced this pattern: no file matches it, or it is in quotes"
	}
	return ""
}

// hintForOther returns what to do with a file that is not a capture, or "".
func hintForOther(file File, err error) string {
	begins := quoted.FindStringSubmatch(err.Error())
	if file.Archive != "" || begins == nil || !errors.Is(err, stream.ErrNotCapture) {
		return ""
	}
	for _, other := range otherFiles {
		if other.begins.MatchString(begins[1]) {
			return strings.Replace(other.hint, "%s", files.QuoteLine([]string{file.Path}), 1)
		}
	}
	return ""
}

// Failed reports a file that cannot be read, or not to its end. The exit code becomes 3 if
// other files could be read.
func (p *Problems) Failed(file File, err error) {
	err = files.WithoutPath(err)
	var hinted interface{ Hint() string }
	if hint := hintFor(file, err); hint != "" && !errors.As(err, &hinted) {
		err = tool.WithHint(err, hint)
	}
	p.Messages.Errorf("%s: %w", file.Display(), err)
	p.Report.Failed(file.Path, file.Archive, err.Error())
	p.Messages.HintOf(err)
}

// NotCapture reports a file that is not a capture. It is a failure if the file was named, or if
// its name is that of a capture. Other files are skipped, and WarnSkipped counts them.
func (p *Problems) NotCapture(file File, err error) (failed bool) {
	if file.IsCaptureIfEmpty() {
		p.Failed(file, err)
		return true
	}
	p.count(file, "is not a capture")
	p.Report.Skipped(file.Path, file.Archive, err.Error(), 0)
	return false
}

// ErrEmpty is the error of NotCapture for an empty file that is only found in a folder: see
// [File.IsCaptureIfEmpty].
var ErrEmpty = fmt.Errorf("%w: empty", stream.ErrNotCapture)

// Skip leaves out a file of a folder. WarnSkipped prints the reason, such as "is a device".
func (p *Problems) Skip(file File, reason string) {
	p.count(file, reason)
	p.Report.Skipped(file.Path, file.Archive, reason, 0)
}

func (p *Problems) count(file File, reason string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for i := range p.skipped {
		if p.skipped[i].reason == reason {
			p.skipped[i].count++
			return
		}
	}
	p.skipped = append(p.skipped, skipped{reason, file, 1})
}

// Skipped is the number of files and members that were skipped.
func (p *Problems) Skipped() (total int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, s := range p.skipped {
		total += s.count
	}
	return total
}

// WarnSkipped prints one warning for each reason why files were skipped.
func (p *Problems) WarnSkipped() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, s := range p.skipped {
		if s.count == 1 {
			p.Messages.Warnf("skipped %s, which %s", s.first.Display(), s.reason)
		} else {
			p.Messages.Warnf("skipped %d files such as %s, which %s", s.count, s.first.Display(), s.reason)
		}
	}
}
