package tool

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"

	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
)

// Report writes the events of --report as they happen. Without the flag it takes them and
// writes nothing. It is safe for concurrent use.
type Report struct {
	tool string

	mutex   sync.Mutex
	file    *os.File
	encoder *record.Encoder
	err     error
}

// open takes a file name or the number of an open descriptor.
func (r *Report) open(name string, operands []string, progress *Progress) error {
	file, err := openReport(name, operands)
	if err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.file, r.encoder = file, record.NewEncoder(file)
	if IsTerminal(file) {
		r.encoder = record.NewEncoder(progress.Over(file))
	}
	return nil
}

// openReport refuses an operand: it would be lost before it is read.
func openReport(name string, operands []string) (*os.File, error) {
	fd, err := strconv.Atoi(name)
	if err != nil {
		info, err := os.Stat(name)
		if err == nil && info.Mode().IsRegular() && slices.ContainsFunc(operands, func(operand string) bool { return files.Same(name, operand) }) {
			return nil, errors.New("is also an input")
		}
		return os.Create(name)
	}
	file := os.NewFile(uintptr(fd), "descriptor "+name)
	if file == nil {
		return nil, errors.New("not a descriptor")
	}
	if _, err := file.Stat(); err != nil {
		return nil, errors.New("the descriptor is not open")
	}
	return file, nil
}

// IsFile says whether the report goes into this file.
func (r *Report) IsFile(info fs.FileInfo) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.file == nil {
		return false
	}
	file, err := r.file.Stat()
	return err == nil && os.SameFile(info, file)
}

// Event writes one event. The first error fails the run at its end.
func (r *Report) Event(event any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.encoder != nil && r.err == nil {
		r.err = r.encoder.Encode(event)
	}
}

// Damaged writes that a part of an input was damaged. archive is "" for a file of its own.
func (r *Report) Damaged(path, archive string, damage record.Damage) {
	r.Event(record.Damaged{
		Event: "damaged", Tool: r.tool, Path: path, PathRaw: record.RawName(path),
		Archive: archive, ArchiveRaw: record.RawName(archive), Damage: damage,
	})
}

// Failed writes that an input could not be read, or not to its end.
func (r *Report) Failed(path, archive, reason string) {
	r.Event(record.Failed{
		Event: "failed", Tool: r.tool, Path: path, PathRaw: record.RawName(path),
		Archive: archive, ArchiveRaw: record.RawName(archive), Reason: reason,
	})
}

// Outdated writes that a capture is not as its record says.
func (r *Report) Outdated(path, archive, reason string) {
	r.Event(record.Outdated{
		Event: "outdated", Tool: r.tool, Path: path, PathRaw: record.RawName(path),
		Archive: archive, ArchiveRaw: record.RawName(archive), Reason: reason,
	})
}

// Skipped writes that an input, or so many of its packets, were left out on purpose.
func (r *Report) Skipped(path, archive, reason string, packets int64) {
	r.Event(record.Skipped{
		Event: "skipped", Tool: r.tool, Path: path, PathRaw: record.RawName(path),
		Archive: archive, ArchiveRaw: record.RawName(archive), Packets: packets, Reason: reason,
	})
}

func (r *Report) close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.file == nil {
		return nil
	}
	err := errors.Join(r.err, r.file.Close())
	r.file, r.encoder = nil, nil
	return err
}
