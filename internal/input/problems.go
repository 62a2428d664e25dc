package input

import (
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

	mutex       sync.Mutex
	nonCaptures int
	first       File // of those
}

// NewProblems speaks by the messages and the report of a run, whose tool has --strict.
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

// Damage is a broken place in a capture. The exit code becomes 3.
func (p *Problems) Damage(file File, d *stream.Damage) {
	p.Messages.Errorf("%s: %w", file.Display(), d)
	p.Report.Damaged(file.Path, file.Archive, record.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Record, Reason: d.Reason})
}

// ArchiveDamage is a broken place in a tarball. The exit code becomes 3.
func (p *Problems) ArchiveDamage(path string, d *archive.Damage) {
	p.Messages.Errorf("%s: %w", files.Display(path, ""), d)
	p.Report.Damaged(path, "", record.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Member, Reason: d.Reason})
}

// Failed is a file that cannot be read, or not to its end. The exit code becomes 3 if
// others could.
func (p *Problems) Failed(file File, err error) {
	err = files.WithoutPath(err)
	p.Messages.Errorf("%s: %w", file.Display(), err)
	p.Report.Failed(file.Path, file.Archive, err.Error())
}

// NotCapture is a file that is no capture. It is a failure if somebody named the file, or
// if its name is that of a capture. Other files are skipped; WarnNonCaptures sums them up.
func (p *Problems) NotCapture(file File, err error) (failed bool) {
	if !file.Found || LooksLikeCapture(file.Path) {
		p.Failed(file, err)
		return true
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.nonCaptures == 0 {
		p.first = file
	}
	p.nonCaptures++
	p.Report.Skipped(file.Path, file.Archive, err.Error(), 0)
	return false
}

// NonCaptures is how many files and members were skipped because they are no captures.
func (p *Problems) NonCaptures() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.nonCaptures
}

// WarnNonCaptures is one warning about all files that are no captures.
func (p *Problems) WarnNonCaptures() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	switch p.nonCaptures {
	case 0:
	case 1:
		p.Messages.Warnf("skipped %s, which is no capture", p.first.Display())
	default:
		p.Messages.Warnf("skipped %d files that are no captures, such as %s", p.nonCaptures, p.first.Display())
	}
}
