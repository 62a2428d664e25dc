package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/record"
)

// input is one file that a tool is to read.
type input struct {
	path    string // "-" is stdin
	archive string // the tarball that path is a member of, or ""
	// found says that a folder was searched, and nobody named this file.
	found bool
}

// display is the name used in messages, safe for a terminal.
func (i input) display() string { return displayName(i.path, i.archive) }

func displayName(path, archive string) string {
	switch {
	case archive != "":
		return displayName(archive, "") + ": " + escapeName(path)
	case path == "-":
		return "stdin"
	case path == "":
		return `""`
	}
	return escapeName(path)
}

// strictFlag is of the tools that go on behind a bad input otherwise.
func strictFlag() cli.Flag {
	return &cli.BoolFlag{Name: "strict", Usage: "stop at the first input that is damaged or cannot be read"}
}

// namedError puts the path before an error, unless it stands there already.
func namedError(path string, err error) error {
	return fmt.Errorf("%s: %w", displayName(path, ""), withoutPath(err))
}

// withoutPath takes operation and path off the errors of package os, and the name
// off those of an output.
func withoutPath(err error) error {
	var written *writeError
	if errors.As(err, &written) {
		return written.err
	}
	var pathError *fs.PathError
	for errors.As(err, &pathError) {
		err = pathError.Err
	}
	return err
}

// nameFilter is which files of a folder are wanted.
type nameFilter struct {
	match  *regexp.Regexp // on the path below the folder; nil for all
	suffix string
}

func (f nameFilter) wants(path string) bool {
	return strings.HasSuffix(path, f.suffix) && (f.match == nil || f.match.MatchString(path))
}

// nameFlags choose among the files of a folder and the members of a tarball.
func nameFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "match", Usage: "of folders and tarballs, take only what `REGEXP` matches"},
		&cli.StringFlag{Name: "suffix", Usage: "of folders and tarballs, take only names that end in `TEXT`"},
	}
}

// nameFilter reads nameFlags.
func (j *job) nameFilter() (f nameFilter, err error) {
	f.suffix = j.flags.String("suffix")
	if text := j.flags.String("match"); text != "" {
		if f.match, err = regexp.Compile(text); err != nil {
			return f, usageErrorf("--match %q: %w", text, err)
		}
	}
	return f, nil
}

// expandOperands turns operands into the files to read: folders are searched,
// in the order of names, without hidden files and without the outputs of this run.
// No operand means stdin. What cannot be read is said and left out; failed counts it.
func (j *job) expandOperands(operands []string, filter nameFilter) (inputs []input, failed int, err error) {
	if len(operands) == 0 {
		return []input{{path: "-"}}, 0, nil
	}
	if err := checkStdinOnce(operands); err != nil {
		return nil, 0, err
	}
	for _, operand := range operands {
		if operand == "-" {
			inputs = append(inputs, input{path: operand})
			continue
		}
		info, err := os.Stat(operand)
		if err != nil {
			j.inputFailed(operand, err)
			failed++
			continue
		}
		if !info.IsDir() {
			inputs = append(inputs, input{path: operand})
			continue
		}
		found, bad := j.searchFolder(operand, filter)
		inputs, failed = append(inputs, found...), failed+bad
	}
	return inputs, failed, nil
}

// checkStdinOnce finds stdin named twice: there would be nothing left of it.
func checkStdinOnce(operands []string) error {
	if first := slices.Index(operands, "-"); first >= 0 && slices.Contains(operands[first+1:], "-") {
		return usageErrorf("stdin (-) is named twice")
	}
	return nil
}

func (j *job) searchFolder(folder string, filter nameFilter) (inputs []input, failed int) {
	folder += string(filepath.Separator) // or a link to a folder would not be followed
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			j.inputFailed(path, err)
			failed++
			return nil
		}
		if path != folder && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		below, _ := filepath.Rel(folder, path)
		switch {
		case entry.IsDir() || archive.IsIndexPath(path) || !filter.wants(below):
		case isRegular(path, entry):
			in := input{path: path, found: true}
			if info, err := os.Stat(path); err == nil && j.isOutput(info) {
				j.warnf("skipped %s, which is the output", in.display())
				return nil
			}
			inputs = append(inputs, in)
		case entry.Type()&fs.ModeSymlink != 0 && !j.passOverLink(path):
			failed++
		}
		return nil
	})
	return inputs, failed
}

// isRegular follows a symbolic link to a file; folders behind links are left out,
// which keeps a loop of links from being a loop.
func isRegular(path string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// passOverLink says what is not followed. A link that should lead to a capture, and
// leads nowhere, is a failure.
func (j *job) passOverLink(path string) (ok bool) {
	info, err := os.Stat(path)
	switch {
	case err != nil && captureName.MatchString(path):
		j.inputFailed(path, err)
		return false
	case err == nil && info.IsDir():
		j.warnf("skipped %s, a link to a folder", displayName(path, ""))
	}
	return true
}

// openInput opens an input for reading; closing stdin does nothing. A file that
// is also this run's stdout is refused, as cat does.
func (j *job) openInput(path string) (io.ReadCloser, error) {
	if path == "-" {
		in, err := j.readStdin()
		if err != nil {
			return nil, err
		}
		return io.NopCloser(in), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("is a folder")
	case j.isStdout(info):
		err = errors.New("is also the output")
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	enlargePipe(file)
	return &inputFile{file, info, 0}, nil
}

// inputFile is a file that says so when it ends earlier than it did when it was
// opened: cut between two packets, it would look whole.
type inputFile struct {
	*os.File
	opened fs.FileInfo
	offset int64
}

func (f *inputFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.offset += int64(n)
	if size := f.opened.Size(); err == io.EOF && f.offset < size && f.opened.Mode().IsRegular() {
		err = fmt.Errorf("has been cut while it was read: wanted %d bytes, got %d", size, f.offset)
	}
	return n, err
}

// Seek implements io.Seeker.
func (f *inputFile) Seek(offset int64, whence int) (now int64, err error) {
	f.offset, err = f.File.Seek(offset, whence)
	return f.offset, err
}

func (j *job) isStdout(info fs.FileInfo) bool {
	out, ok := j.Out.(*os.File)
	if !ok || !info.Mode().IsRegular() {
		return false
	}
	outInfo, err := out.Stat()
	return err == nil && os.SameFile(info, outInfo)
}

// captureName is how captures are named, compressed ones included.
var captureName = regexp.MustCompile(`(?i)\.(pcap|pcapng|cap|dmp)\d*(\.(gz|lz4|zst|xz|bz2))?$`)

// bystanders are the files of a folder and the members of a tarball that are no
// captures and do not look like ones.
type bystanders struct {
	mutex sync.Mutex
	count int
	first input
}

// notCapture says what comes of a file that is no capture, and whether it is a
// failure: it is if somebody named the file, or if its name is that of a capture.
// Other files are passed over; sayBystanders sums them up.
func (j *job) notCapture(in input, err error) (failed bool) {
	switch named := !in.found || captureName.MatchString(in.path); {
	case named && in.archive != "":
		j.memberFailed(in.archive, in.path, err)
		return true
	case named:
		j.inputFailed(in.path, err)
		return true
	}
	j.bystanders.mutex.Lock()
	defer j.bystanders.mutex.Unlock()
	if j.bystanders.count == 0 {
		j.bystanders.first = in
	}
	j.bystanders.count++
	j.report.event(record.Skipped{
		Event: "skipped", Tool: j.tool.Name, Path: in.path, PathRaw: record.RawName(in.path),
		Archive: in.archive, ArchiveRaw: record.RawName(in.archive), Reason: err.Error(),
	})
	return false
}

// sayBystanders is one warning about all files passed over.
func (j *job) sayBystanders() {
	j.bystanders.mutex.Lock()
	defer j.bystanders.mutex.Unlock()
	switch b := &j.bystanders; b.count {
	case 0:
	case 1:
		j.warnf("skipped %s, which is no capture", b.first.display())
	default:
		j.warnf("skipped %d files that are no captures, such as %s", b.count, b.first.display())
	}
}

// isOutput says whether a file is one that this run writes, or is going to replace:
// what an earlier run has left under that name is no input, either.
func (j *job) isOutput(info fs.FileInfo) bool {
	if j.isStdout(info) || j.report.isFile(info) {
		return true
	}
	for _, flag := range []string{"output", "write", "svg"} {
		name := j.flags.String(flag)
		if name == "" || name == "-" {
			continue
		}
		if output, err := os.Stat(name); err == nil && os.SameFile(info, output) {
			return true
		}
	}
	return false
}
