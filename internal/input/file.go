package input

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/tool"
)

// File is one file that a tool is to read.
type File struct {
	Path    string // "-" is stdin
	Archive string // the tarball that Path is a member of, or ""
	// Found means that the file was found in a folder or a tarball, and was not named.
	Found bool
}

// Display is the name for messages, safe for a terminal.
func (f File) Display() string { return files.Display(f.Path, f.Archive) }

// IsCaptureIfEmpty reports whether the file counts as a capture without packets if it is
// empty: it does if it was named, or if its name is that of a capture.
func (f File) IsCaptureIfEmpty() bool { return !f.Found || LooksLikeCapture(f.Path) }

// Names selects files of folders and members of tarballs.
type Names struct {
	match  *regexp.Regexp // matches the path below the folder; nil for all
	suffix string
}

// Want reports whether a file or member is selected.
func (n Names) Want(path string) bool {
	return strings.HasSuffix(path, n.suffix) && (n.match == nil || n.match.MatchString(path))
}

// NameFlags select among the files of a folder and the members of a tarball.
func NameFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "match", Usage: "in folders and tarballs, read only names that match `REGEXP`"},
		&cli.StringFlag{Name: "suffix", Usage: "in folders and tarballs, read only names that end in `TEXT`"},
	}
}

// ParseNames reads NameFlags.
func ParseNames(flags *tool.Flags) (n Names, err error) {
	n.suffix = flags.String("suffix")
	if text := flags.String("match"); text != "" {
		if n.match, err = regexp.Compile(text); err != nil {
			return n, tool.UsageErrorf("--match %q: %w", text, err).WithHint(tool.PatternHint(text))
		}
	}
	return n, nil
}

// LooksLikeCapture reports whether the name of a file is that of a capture, which may be
// compressed.
func LooksLikeCapture(path string) bool { return captureName.MatchString(path) }

var captureName = regexp.MustCompile(`(?i)\.(pcap|pcapng|cap|dmp)\d*(\.(gz|lz4|zst|xz|bz2))?$`)

// CheckStdinOnce refuses operands that name stdin twice, because it can be read only once.
func CheckStdinOnce(operands []string) error {
	if first := slices.Index(operands, "-"); first >= 0 && slices.Contains(operands[first+1:], "-") {
		return tool.UsageErrorf("stdin (-) is named twice")
	}
	return nil
}

// Expand turns operands into the files to read. It searches folders, in the order of names,
// for regular files that are not hidden. No operand means stdin. Files that cannot be read
// are reported and left out; failed is their number.
//
// An output that is a capture of such a folder is refused before anything is reported,
// because the report may be this output. Other outputs are left out.
func (o *Opener) Expand(operands []string, names Names, problems *Problems) (list *FileList, failed int, err error) {
	list = new(FileList)
	if len(operands) == 0 {
		list.add(File{Path: "-"})
		return list, 0, nil
	}
	if err := CheckStdinOnce(operands); err != nil {
		return nil, 0, err
	}
	s := search{list: list, names: names, claims: o.Claims}
	for _, operand := range operands {
		s.add(operand)
	}
	if s.err != nil {
		return nil, 0, s.err
	}
	if list, err = o.withoutOutputs(list, problems); err != nil {
		return nil, 0, err
	}
	for _, report := range s.reports {
		report(problems)
	}
	return list, s.failed, nil
}

// search is a search for files. What it cannot read or leaves out is reported at its end.
type search struct {
	list    *FileList
	names   Names
	claims  *tool.Claims
	err     error // an output is the index of a tarball
	failed  int
	reports []func(*Problems)
}

func (s *search) fail(path string, err error) {
	s.failed++
	s.reports = append(s.reports, func(p *Problems) { p.Failed(File{Path: path}, err) })
}

func (s *search) skip(path, reason string) {
	s.reports = append(s.reports, func(p *Problems) { p.Skip(File{Path: path, Found: true}, reason) })
}

// add adds a file, or the files of a folder.
func (s *search) add(operand string) {
	if operand == "-" {
		s.list.add(File{Path: operand})
		return
	}
	info, err := os.Stat(operand)
	switch {
	case err != nil:
		s.fail(operand, err)
	case info.IsDir():
		before, failed := s.list.Len(), s.failed
		walkFolder(operand, s.visit)
		if s.list.Len() == before && s.failed == failed {
			s.failed++
			s.reports = append(s.reports, func(p *Problems) { p.Empty(operand, s.names) })
		}
	default:
		s.list.add(File{Path: operand})
	}
}

// visit adds a file of a folder, if it may be a capture.
func (s *search) visit(found entry, err error) {
	switch {
	case err != nil:
		s.fail(found.path, err)
	case archive.IsIndexPath(found.path):
		s.err = cmp.Or(s.err, s.claims.Check(found.path))
	case !s.names.Want(found.below):
	case found.isHidden():
		if LooksLikeCapture(found.path) {
			s.skip(found.path, "is hidden")
		}
	case found.isRegular():
		s.list.add(File{Path: found.path, Found: true})
	default:
		s.skipIrregular(found.path)
	}
}

// skipIrregular skips everything that is neither a regular file nor a link to one. A
// dangling link with the name of a capture is a failure.
func (s *search) skipIrregular(path string) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		s.skip(path, "is a link to a folder")
	case err == nil:
		s.skip(path, "is "+files.Kind(info.Mode()))
	case LooksLikeCapture(path):
		s.fail(path, err)
	}
}

// RegularFiles returns the files of a folder that may be captures. It ignores folders below
// it that cannot be listed now, because the next call may list them.
func RegularFiles(folder string, names Names) (paths []string, err error) {
	if _, err := os.Stat(folder); err != nil {
		return nil, err
	}
	walkFolder(folder, func(found entry, err error) {
		if err == nil && !found.isHidden() && found.isRegular() && names.Want(found.below) {
			paths = append(paths, found.path)
		}
	})
	return paths, nil
}

// CheckRecorded refuses records of files that are not regular, because a device or a named
// pipe may have no end. Missing files are reported when they are opened.
func CheckRecorded(path string) error {
	if err := CheckRegular(path); err != nil {
		return fmt.Errorf("%w, and a record may name regular files only", err)
	}
	return nil
}

// CheckRegular refuses a device, a named pipe or a socket: opening or reading one may take
// forever.
func CheckRegular(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("is %s", files.Kind(info.Mode()))
	}
	return nil
}

// Opener opens the inputs of a tool, and refuses those that are its outputs.
type Opener struct {
	In     io.Reader    // for "-"
	Out    io.Writer    // stdout
	Claims *tool.Claims // outputs of the run
}

// NewOpener returns an Opener for the inputs of a run.
func NewOpener(run *tool.Run) *Opener { return &Opener{In: run.In, Out: run.Out, Claims: run.Claims} }

// Open opens an input. Closing stdin does nothing. Like cat, it refuses a file that is also
// stdout.
func (o *Opener) Open(path string) (io.ReadCloser, error) {
	if path == "-" {
		if err := o.CheckStdin(); err != nil {
			return nil, err
		}
		files.EnlargePipe(o.In)
		return io.NopCloser(o.In), nil
	}
	file, err := files.OpenInput(path)
	if err != nil {
		return nil, err
	}
	if o.IsStdout(file.Opened()) {
		file.Close()
		return nil, ErrIsOutput
	}
	return file, nil
}

// ErrIsOutput means that an input is also an output.
var ErrIsOutput = errors.New("is also the output")

// CheckStdin refuses to read from a terminal.
func (o *Opener) CheckStdin() error {
	if tool.IsTerminal(o.In) {
		return tool.UsageErrorf("stdin is a terminal").WithHint("name a file, or pipe one in")
	}
	return nil
}

// IsStdout reports whether a file is the stdout of this process.
func (o *Opener) IsStdout(info fs.FileInfo) bool {
	out, ok := o.Out.(*os.File)
	if !ok || !info.Mode().IsRegular() {
		return false
	}
	outInfo, err := out.Stat()
	return err == nil && os.SameFile(info, outInfo)
}

// IsOutput reports whether this run writes or will replace a file.
func (o *Opener) IsOutput(path string) bool {
	_, isOutput := o.Claims.Of(path)
	return isOutput
}

// withoutOutputs leaves out the files of folders that this run writes. Like RefuseOutput, it
// refuses an output that is a capture of such a folder.
func (o *Opener) withoutOutputs(list *FileList, problems *Problems) (*FileList, error) {
	inputs := new(FileList)
	for file := range list.All() {
		if file.Found {
			if err := o.RefuseOutput(file.Path); err != nil {
				return nil, err
			}
			if o.IsOutput(file.Path) {
				problems.Messages.Warnf("skipped %s, which is the output", file.Display())
				continue
			}
		}
		inputs.add(file)
	}
	return inputs, nil
}

// RefuseOutput refuses an output that is a capture of a folder, because a search of the
// folder is meant to find all of its captures.
func (o *Opener) RefuseOutput(path string) error {
	output, isOutput := o.Claims.Of(path)
	if !isOutput || !archive.HoldsCaptures(path) {
		return nil
	}
	return tool.UsageErrorf("%s: %w, of a folder", output, tool.ErrAlsoInput).WithHint("write it to another folder, or remove it first")
}

// Size is the number of bytes to read, or -1 if it is unknown.
func (o *Opener) Size(paths iter.Seq[string]) (total int64) {
	for path := range paths {
		info, err := o.stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return -1
		}
		total += info.Size()
	}
	return total
}

// stat is os.Stat, but also works for stdin.
func (o *Opener) stat(path string) (fs.FileInfo, error) {
	if path != "-" {
		return os.Stat(path)
	}
	if file, ok := o.In.(*os.File); ok {
		return file.Stat()
	}
	return nil, errors.ErrUnsupported
}
