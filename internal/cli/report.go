package cli

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// report writes the events of --report as they happen. Without the flag it
// takes them and writes nothing.
type report struct {
	mutex   sync.Mutex
	file    *os.File
	encoder *record.Encoder
	err     error
}

// openReport takes a file name or the number of an open descriptor. An operand is
// no place for a report: it would be lost before it is read.
func openReport(name string, operands []string, progress *progress) (*report, error) {
	if fd, err := strconv.Atoi(name); err == nil {
		file := os.NewFile(uintptr(fd), "descriptor "+name)
		if file == nil {
			return nil, errors.New("not a descriptor")
		}
		if _, err := file.Stat(); err != nil {
			return nil, errors.New("the descriptor is not open")
		}
		return newReport(file, progress), nil
	}
	info, err := os.Stat(name)
	if err == nil && info.Mode().IsRegular() && slices.ContainsFunc(operands, func(operand string) bool { return isSameFile(name, operand) }) {
		return nil, errors.New("is also an input")
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return newReport(file, progress), nil
}

func newReport(file *os.File, progress *progress) *report {
	r := &report{file: file, encoder: record.NewEncoder(file)}
	if isTerminal(file) {
		r.encoder = record.NewEncoder(progress.over(file))
	}
	return r
}

// isFile says whether the report goes into this file.
func (r *report) isFile(info fs.FileInfo) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.file == nil {
		return false
	}
	file, err := r.file.Stat()
	return err == nil && os.SameFile(info, file)
}

// event writes one event. The first error is kept for close.
func (r *report) event(event any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.encoder != nil && r.err == nil {
		r.err = r.encoder.Encode(event)
	}
}

func (r *report) close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.file == nil {
		return nil
	}
	err := errors.Join(r.err, r.file.Close())
	r.file, r.encoder = nil, nil
	return err
}

// damage says and reports a broken place in an input, which makes the exit code 3.
func (j *job) damage(path, archive string, d *stream.Damage) {
	j.damaged.Store(true)
	j.errorf("%s: %w", displayName(path, archive), d)
	j.report.event(record.Damaged{
		Event: "damaged", Tool: j.tool.Name,
		Path: path, PathRaw: record.RawName(path), Archive: archive, ArchiveRaw: record.RawName(archive),
		Damage: record.Damage{Offset: d.Offset, Lost: d.Lost, Record: d.Record, Reason: d.Reason},
	})
}

// inputFailed says and reports an input that cannot be read (on), which makes
// the exit code 3 when others could.
func (j *job) inputFailed(path string, err error) {
	j.damaged.Store(true)
	j.errorf("%w", namedError(path, err))
	j.report.event(record.Failed{
		Event: "failed", Tool: j.tool.Name, Path: path, PathRaw: record.RawName(path), Reason: withoutPath(err).Error(),
	})
}

// summary begins the summary of this run: exit is what the run will end with.
func (j *job) summary(exit int) record.Summary {
	return record.Summary{Event: "summary", Tool: j.tool.Name, Exit: exit, Seconds: time.Since(j.started).Seconds()}
}
