package input

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

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// File is one file that a tool is to read.
type File struct {
	Path    string // "-" is stdin
	Archive string // the tarball that Path is a member of, or ""
	// Found says that a folder or a tarball was searched, and nobody named this file.
	Found bool
}

// Display is the name in messages, safe for a terminal.
func (f File) Display() string { return files.Display(f.Path, f.Archive) }

// Paths are the paths of files.
func Paths(list []File) []string {
	paths := make([]string, len(list))
	for i, file := range list {
		paths[i] = file.Path
	}
	return paths
}

// Names is which files of a folder and which members of a tarball are wanted.
type Names struct {
	match  *regexp.Regexp // on the path below the folder; nil for all
	suffix string
}

// Want says whether a file or member is wanted.
func (n Names) Want(path string) bool {
	return strings.HasSuffix(path, n.suffix) && (n.match == nil || n.match.MatchString(path))
}

// NameFlags choose among the files of a folder and the members of a tarball.
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
			return n, tool.UsageErrorf("--match %q: %w", text, err)
		}
	}
	return n, nil
}

// LooksLikeCapture says whether a file is named as captures are, compressed ones included.
func LooksLikeCapture(path string) bool { return captureName.MatchString(path) }

var captureName = regexp.MustCompile(`(?i)\.(pcap|pcapng|cap|dmp)\d*(\.(gz|lz4|zst|xz|bz2))?$`)

// CheckStdinOnce finds stdin named twice: there would be nothing left of it.
func CheckStdinOnce(operands []string) error {
	if first := slices.Index(operands, "-"); first >= 0 && slices.Contains(operands[first+1:], "-") {
		return tool.UsageErrorf("stdin (-) is named twice")
	}
	return nil
}

// Expand turns operands into the files to read: folders are searched, in the order of
// names, for regular files that are not hidden. No operand means stdin. What cannot be read
// is a problem and left out; failed counts it.
func Expand(operands []string, names Names, problems *Problems) (list []File, failed int, err error) {
	if len(operands) == 0 {
		return []File{{Path: "-"}}, 0, nil
	}
	if err := CheckStdinOnce(operands); err != nil {
		return nil, 0, err
	}
	for _, operand := range operands {
		if operand == "-" {
			list = append(list, File{Path: operand})
			continue
		}
		info, err := os.Stat(operand)
		switch {
		case err != nil:
			problems.Failed(File{Path: operand}, err)
			failed++
		case info.IsDir():
			found, bad := searchFolder(operand, names, problems)
			list, failed = append(list, found...), failed+bad
		default:
			list = append(list, File{Path: operand})
		}
	}
	return list, failed, nil
}

func searchFolder(folder string, names Names, problems *Problems) (list []File, failed int) {
	walkFolder(folder, func(path, below string, entry fs.DirEntry, err error) {
		switch {
		case err != nil:
			problems.Failed(File{Path: path}, err)
			failed++
		case entry.IsDir() || archive.IsIndexPath(path) || !names.Want(below):
		case isHidden(entry):
			if LooksLikeCapture(path) {
				problems.Skip(File{Path: path, Found: true}, "is hidden")
			}
		case isRegular(path, entry):
			list = append(list, File{Path: path, Found: true})
		case !skipIrregular(path, problems):
			failed++
		}
	})
	return list, failed
}

// RegularFiles are the files of a folder that may be captures. What cannot be listed now
// below the folder may be the next time.
func RegularFiles(folder string, names Names) (paths []string, err error) {
	if _, err := os.Stat(folder); err != nil {
		return nil, err
	}
	walkFolder(folder, func(path, below string, entry fs.DirEntry, err error) {
		if err == nil && !isHidden(entry) && isRegular(path, entry) && names.Want(below) {
			paths = append(paths, path)
		}
	})
	return paths, nil
}

// walkFolder visits everything in a folder but hidden folders, in the order of names.
func walkFolder(folder string, visit func(path, below string, entry fs.DirEntry, err error)) {
	folder += string(filepath.Separator) // or a link to a folder would not be followed
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && path != folder && entry.IsDir() && isHidden(entry) {
			return fs.SkipDir
		}
		below, _ := filepath.Rel(folder, path)
		visit(path, below, entry, err)
		return nil
	})
}

func isHidden(entry fs.DirEntry) bool { return strings.HasPrefix(entry.Name(), ".") }

// isRegular follows a symbolic link to a file; folders behind links are left out, which
// keeps a loop of links from being a loop.
func isRegular(path string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// skipIrregular skips what is no regular file, and no link to one. A link that should lead
// to a capture, and leads nowhere, is a failure.
func skipIrregular(path string, problems *Problems) (ok bool) {
	file := File{Path: path, Found: true}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		problems.Skip(file, "is a link to a folder")
	case err == nil:
		problems.Skip(file, "is "+files.Kind(info.Mode()))
	case LooksLikeCapture(path):
		problems.Failed(File{Path: path}, err)
		return false
	}
	return true
}

// CheckRecorded refuses what a record names and is no regular file: a device or a named
// pipe may have no end. What cannot be found is left to whoever opens it.
func CheckRecorded(path string) error {
	if err := CheckRegular(path); err != nil {
		return fmt.Errorf("%w, and a record may name regular files only", err)
	}
	return nil
}

// CheckRegular refuses a device, a named pipe or a socket: opening or reading one may take
// for ever.
func CheckRegular(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("is %s", files.Kind(info.Mode()))
	}
	return nil
}

// Opener opens what a tool reads, and knows what it must not read: what it writes.
type Opener struct {
	In     io.Reader    // for "-"
	Out    io.Writer    // stdout
	Claims *tool.Claims // what the run writes
}

// NewOpener opens the inputs of a run.
func NewOpener(run *tool.Run) *Opener { return &Opener{In: run.In, Out: run.Out, Claims: run.Claims} }

// Open opens an input; closing stdin does nothing. A file that is also stdout is refused,
// as cat does.
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

// ErrIsOutput refuses to read what is written.
var ErrIsOutput = errors.New("is also the output")

// CheckStdin refuses to read from a person.
func (o *Opener) CheckStdin() error {
	if tool.IsTerminal(o.In) {
		return tool.UsageErrorf("stdin is a terminal").WithHint("name a file, or pipe a capture in")
	}
	return nil
}

// IsStdout says whether a file is the stdout of this process.
func (o *Opener) IsStdout(info fs.FileInfo) bool {
	out, ok := o.Out.(*os.File)
	if !ok || !info.Mode().IsRegular() {
		return false
	}
	outInfo, err := out.Stat()
	return err == nil && os.SameFile(info, outInfo)
}

// IsOutput says whether a file is one that this run writes, or is going to replace.
func (o *Opener) IsOutput(path string) bool {
	_, isOutput := o.Claims.Of(path)
	return isOutput
}

// WithoutOutput leaves out the files of folders that this run writes. It refuses an output
// as RefuseOutput does.
func (o *Opener) WithoutOutput(list []File, problems *Problems) ([]File, error) {
	for _, file := range list {
		if file.Found {
			if err := o.RefuseOutput(file.Path); err != nil {
				return nil, err
			}
		}
	}
	return slices.DeleteFunc(list, func(file File) bool {
		isOutput := file.Found && o.IsOutput(file.Path)
		if isOutput {
			problems.Messages.Warnf("skipped %s, which is the output", file.Display())
		}
		return isOutput
	}), nil
}

// RefuseOutput refuses an output that is a capture of a folder: who searches a folder means
// all of its captures.
func (o *Opener) RefuseOutput(path string) error {
	output, isOutput := o.Claims.Of(path)
	if !isOutput || !isCaptureFile(path) {
		return nil
	}
	return tool.UsageErrorf("%s: %w, of a folder", output, tool.ErrAlsoInput).WithHint("write it to another folder, or remove it first")
}

// isCaptureFile says whether a file would be read as a capture, or as a tarball.
func isCaptureFile(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	reader := stream.NewReader(file)
	defer reader.Close()
	_, err = reader.Read(make([]stream.Packet, 1))
	return reader.Sections() > 0 || err != io.EOF && !errors.Is(err, stream.ErrNotCapture) || IsArchiveFile(path)
}

// Size is how many bytes there are to read, or -1 where that cannot be known.
func (o *Opener) Size(paths []string) (total int64) {
	for _, path := range paths {
		info, err := o.stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return -1
		}
		total += info.Size()
	}
	return total
}

// stat is os.Stat, for stdin as well.
func (o *Opener) stat(path string) (fs.FileInfo, error) {
	if path != "-" {
		return os.Stat(path)
	}
	if file, ok := o.In.(*os.File); ok {
		return file.Stat()
	}
	return nil, errors.ErrUnsupported
}
