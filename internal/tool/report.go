package tool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"

	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
)

// Report writes the events of --report as they happen. Without the flag, it writes nothing.
// It is safe for concurrent use.
type Report struct {
	tool string

	mutex    sync.Mutex
	file     *os.File        // nil if it goes to stdout
	encoder  *record.Encoder // nil without the flag
	isNew    bool            // the run has created the file, but written nothing
	holdsOld bool            // the file may still have its previous content
	hasEnded bool            // the summary was written
	err      error
}

// stdoutDescriptor is the number of stdout.
const stdoutDescriptor = 1

// open opens the report by a file name, the number of an open descriptor, or "-" for
// stdout.
func (r *Report) open(name string, run *Run) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	fd, err := strconv.Atoi(name)
	switch isNumber := err == nil; {
	case name == "-", isNumber && fd == stdoutDescriptor:
		if run.Flags.dataToStdout() {
			return UsageErrorf("--report %s: stdout is for data", name).WithHint("name a file, or another descriptor")
		}
		if run.Out == (closedStream{}) {
			return UsageErrorf("--report %s: stdout %w", name, errClosed)
		}
		r.encodeTo(run.Out, run.Progress)
		return nil
	case isNumber:
		if r.file, err = openDescriptor(fd, run); err != nil {
			return UsageErrorf("--report %d: %w", fd, err)
		}
	default:
		if err = r.openFile(name); err != nil {
			return UsageErrorf("--report %w", files.Named(name, err))
		}
	}
	r.encodeTo(r.file, run.Progress)
	return nil
}

func (r *Report) encodeTo(dst io.Writer, progress *Progress) {
	if IsTerminal(dst) {
		dst = progress.Over(dst)
	}
	r.encoder = record.NewEncoder(dst)
}

// openFile opens or creates a file. Its content remains until the first event.
func (r *Report) openFile(name string) (err error) {
	r.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	r.isNew, r.holdsOld = err == nil, err != nil
	if errors.Is(err, fs.ErrExist) {
		r.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	}
	if errors.Is(err, syscall.EISDIR) {
		err = files.ErrFolder
	}
	return err
}

// openDescriptor uses a descriptor that this process inherited. The data of the run may go
// to the same pipe through another descriptor.
func openDescriptor(fd int, run *Run) (*os.File, error) {
	if fd < 0 || fd < len(closedAtStart) && closedAtStart[fd] || !isInherited(fd) {
		return nil, errors.New("the descriptor is not open")
	}
	if !isWritable(fd) {
		return nil, errors.New("the descriptor is not open for writing")
	}
	file := os.NewFile(uintptr(fd), "descriptor "+strconv.Itoa(fd))
	if run.Flags.dataToStdout() && files.PlaceOfStream(file).Is(files.PlaceOfStream(run.Out)) {
		return nil, errors.New("the data goes to the same file")
	}
	return file, nil
}

// Event writes one event. The first error fails the run at its end.
func (r *Report) Event(event any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.write(event)
}

// End writes the summary. Events after it are not written: a read that was not waited for
// may still notice damage.
func (r *Report) End(summary any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.write(summary)
	r.hasEnded = true
}

func (r *Report) write(event any) {
	if r.encoder == nil || r.err != nil || r.hasEnded {
		return
	}
	if r.holdsOld && files.Mode(r.file).IsRegular() {
		r.err = r.file.Truncate(0)
	}
	r.isNew, r.holdsOld = false, false
	if r.err == nil {
		r.err = r.encoder.Encode(event)
	}
}

// discard leaves the file unchanged.
func (r *Report) discard() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.file != nil {
		r.file.Close()
	}
	if r.isNew {
		os.Remove(r.file.Name())
	}
	r.file, r.encoder = nil, nil
}

// about is the first part of an event about an input. archive is "" for a file of its own.
func (r *Report) about(event, path, archive string) record.InputEvent {
	return record.NewInputEvent(event, r.tool, path, archive)
}

// Damaged writes the event of a damaged part of an input.
func (r *Report) Damaged(path, archive string, damage record.Damage) {
	r.Event(record.Damaged{InputEvent: r.about("damaged", path, archive), Damage: damage})
}

// Failed writes the event of an input that could not be read, or not to its end.
func (r *Report) Failed(path, archive, reason string) {
	r.Event(record.Failed{InputEvent: r.about("failed", path, archive), Reason: reason})
}

// Outdated writes the event of a capture that does not match its record.
func (r *Report) Outdated(path, archive, reason string) {
	r.Event(record.Outdated{InputEvent: r.about("outdated", path, archive), Reason: reason})
}

// Skipped writes the event of an input, or of some of its packets, that was left out on
// purpose.
func (r *Report) Skipped(path, archive, reason string, packets int64) {
	r.Event(record.Skipped{
		Event: "skipped", Tool: r.tool, Path: path, PathRaw: record.RawName(path),
		Archive: archive, ArchiveRaw: record.RawName(archive), Packets: packets, Reason: reason,
	})
}

func (r *Report) close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	err := r.err
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
	}
	r.file, r.encoder = nil, nil
	return err
}
