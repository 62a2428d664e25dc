package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Output is a stream that is written to, or a file that gets its name only by Publish:
// nobody sees an incomplete file under it. Its owner calls Shut, Finish, Publish and
// Abandon; others may call Write at the same time.
type Output struct {
	dst       io.Writer
	name      string // "stdout" for the stream
	temporary string // "" where the file already has its name
	written   atomic.Int64
	shut      atomic.Bool
	isStream  bool

	changes  []string // see Changes
	file     *os.File // nil for the stream, and after Finish and Abandon
	complete bool
}

// Stdout is an output without a name of its own.
func Stdout(dst io.Writer) *Output {
	EnlargePipe(dst)
	return &Output{dst: dst, name: "stdout", isStream: true}
}

// Create creates a temporary file beside the file. It opens anything that is not a regular
// file, such as /dev/null or a named pipe, directly. It follows symbolic links.
func Create(name string) (*Output, error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return nil, errors.New("is a folder")
	case err == nil && !info.Mode().IsRegular():
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		EnlargePipe(file)
		return &Output{dst: file, file: file, name: name}, nil
	case err == nil:
		// A user who may not write to the file may not replace it, either.
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		file.Close()
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return nil, err
		}
		if err := CheckReplaceable(name); err != nil {
			return nil, err
		}
	case isLink(name):
		return nil, errors.New("is a dangling link")
	case !errors.Is(err, fs.ErrNotExist): // such as a name that is too long, though that of the temporary file is not
		return nil, err
	}
	temporary, mode := Beside(name), fs.FileMode(0o666)
	if info != nil {
		mode = 0o600 // until it has the mode of the old file, which others may not be allowed to read
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	out := &Output{dst: file, file: file, temporary: temporary, name: name}
	if info != nil {
		out.changes = keepAttributes(file, name, info)
	}
	return out, nil
}

// keepAttributes gives a file the owner, the mode and the access control list of the one with
// this name, which it replaces, and returns what cannot be kept.
func keepAttributes(file *os.File, name string, old fs.FileInfo) (changes []string) {
	if !keepOwner(file, old) {
		changes = append(changes, "the file is replaced by one of another owner: keeping the owner is not permitted")
	}
	_ = file.Chmod(old.Mode().Perm()) // not every file system has modes
	if !KeepAccessList(file, name) {
		_ = file.Chmod(old.Mode().Perm() &^ 0o070)
		changes = append(changes, "the file is replaced by one without its access control list: keeping it is not permitted")
	}
	if countLinks(old) > 1 {
		changes = append(changes, "the file is replaced under this name only: its other names (hard links) keep the old content")
	}
	return changes
}

// Changes lists what cannot be kept of the file that the output replaces.
func (o *Output) Changes() []string { return o.changes }

func isLink(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// maxName is the maximum length of a file name in bytes in most file systems: NAME_MAX of
// Linux.
const maxName = 255

// Beside is the hidden name of a temporary file in the folder of a file.
func Beside(name string) string {
	base := filepath.Base(name)
	base = base[:min(len(base), maxName-len("..12345678"))]
	return filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%08x", base, rand.Uint32()))
}

// writeError adds the name of the output to the error of a write, because a descriptor does
// not know it.
type writeError struct {
	name string
	err  error
}

func (e *writeError) Error() string { return e.name + ": " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// ErrShut is the error of a write to an output after Shut, and of a read after [Pool.End].
var ErrShut = errors.New("the run has ended")

// Write implements io.Writer.
func (o *Output) Write(data []byte) (int, error) {
	if o.shut.Load() {
		return 0, &writeError{o.Display(), ErrShut}
	}
	n, err := o.dst.Write(data)
	o.written.Add(int64(n))
	if err != nil {
		err = &writeError{o.Display(), WithoutPath(err)}
	}
	return n, err
}

// CountSent counts bytes that did not pass through Write: see [SendFile].
func (o *Output) CountSent(bytes int64) { o.written.Add(bytes) }

// Written is the number of bytes that were written. It is safe for concurrent use.
func (o *Output) Written() int64 { return o.written.Load() }

// Display is the name of the output in messages.
func (o *Output) Display() string { return Display(o.name, "") }

// Pipe returns the pipe if the output is one, and otherwise nil.
func (o *Output) Pipe() *os.File {
	file, ok := o.dst.(*os.File)
	if !ok || Mode(file)&fs.ModeNamedPipe == 0 {
		return nil
	}
	return file
}

// IsTerminal reports whether the output is a file for which isTerminal is true.
func (o *Output) IsTerminal(isTerminal func(stream any) bool) bool { return isTerminal(o.dst) }

// TakesTime reports whether writing is worth a goroutine of its own: /dev/null is not.
func (o *Output) TakesTime() bool {
	file, ok := o.dst.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0
}

// Shut makes every later Write fail. A Write that is under way continues.
func (o *Output) Shut() { o.shut.Store(true) }

// Finish closes the file, and returns an error if the file system could not store it.
func (o *Output) Finish() error {
	o.Shut()
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	if err != nil {
		return Named(o.name, err)
	}
	return nil
}

// Publish gives a finished file its name. A stream needs none.
func (o *Output) Publish() error {
	if o.temporary != "" {
		if err := os.Rename(o.temporary, o.name); err != nil {
			return Named(o.name, err)
		}
		o.temporary = ""
	}
	o.complete = true
	return nil
}

// IsComplete reports whether Publish has succeeded.
func (o *Output) IsComplete() bool { return o.complete }

// Abandon closes the file, and removes it unless it is complete.
func (o *Output) Abandon() {
	_ = o.Finish() // the file is no longer needed
	if o.temporary != "" && !o.complete {
		os.Remove(o.temporary)
		o.temporary = ""
	}
}

// Path is the path of the output in records: "-" for the stream.
func (o *Output) Path() string {
	if o.isStream {
		return "-"
	}
	return o.name
}

// Named puts the name of the output before an error.
func (o *Output) Named(err error) error {
	return fmt.Errorf("%s: %w", o.Display(), WithoutPath(err))
}
