package cli

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/files"
	"pcap-replay/stream"
)

// outputFlag is -o.
func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of stdout"}
}

// streamFlags are those of the tools that write captures.
func streamFlags() []cli.Flag {
	return []cli.Flag{
		outputFlag(),
		&cli.StringFlag{Name: "compress", Aliases: []string{"z"}, Usage: "compress with `METHOD`: lz4, zstd or gzip"},
		&cli.BoolFlag{Name: "pcapng", Usage: "write pcapng, which may hold several link types"},
	}
}

// writerOptions reads streamFlags.
func (j *job) writerOptions() (stream.WriterOptions, error) {
	compression, err := parseCompression(j.flags.String("compress"))
	if err != nil {
		return stream.WriterOptions{}, err
	}
	return stream.WriterOptions{PcapNG: j.flags.Bool("pcapng"), Compression: compression, LinkType: stream.LinkTypeEthernet}, nil
}

func parseCompression(name string) (stream.Compression, error) {
	for _, c := range []stream.Compression{stream.LZ4, stream.Zstd, stream.Gzip} {
		if name == c.String() {
			return c, nil
		}
	}
	if name == "" {
		return stream.Uncompressed, nil
	}
	return 0, usageErrorf("-z %q: wanted lz4, zstd or gzip", name)
}

// output is stdout or the file of -o. A file is written beside its name and
// gets the name only by commit: nobody sees half of it.
type output struct {
	io.Writer
	file      *os.File
	temporary string
	name      string
}

// writeError is what a write failed with, and names the output, which a descriptor
// cannot.
type writeError struct {
	name string
	err  error
}

func (e *writeError) Error() string { return e.name + ": " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// Write implements io.Writer.
func (o *output) Write(data []byte) (int, error) {
	n, err := o.Writer.Write(data)
	if err != nil {
		name := "stdout"
		if o.name != "" {
			name = displayName(o.name, "")
		}
		err = &writeError{name, withoutPath(err)}
	}
	return n, err
}

// openOutput opens what -o names. Binary data does not go to a terminal.
func (j *job) openOutput(binary bool) (*output, error) {
	name := j.flags.String("output")
	if name == "" || name == "-" {
		if binary && isTerminal(j.Out) {
			return nil, notText("stdout").withHint("redirect it, pipe it on, or name a file with -o")
		}
		if isTerminal(j.Out) {
			return &output{Writer: j.progress.over(j.Out)}, nil
		}
		files.EnlargePipe(j.Out)
		return &output{Writer: j.Out}, nil
	}
	o, err := createOutput(name)
	if err != nil {
		return nil, usageErrorf("-o %w", namedError(name, err))
	}
	j.onEnd(o.abandon)
	if binary && isTerminal(o.file) {
		return nil, notText(displayName(name, ""))
	}
	return o, nil
}

// notText refuses to write a capture to a terminal.
func notText(name string) *usageError {
	return usageErrorf("%s is a terminal, and a capture is not text", name)
}

// maxName is how many bytes the name of a file may have, in most file systems.
const maxName = 255

func isLink(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// createOutput creates the file beside its name; what is no regular file, such
// as /dev/null or a named pipe, is opened as it is.
func createOutput(name string) (*output, error) {
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return nil, errors.New("is a folder")
	case err == nil && !info.Mode().IsRegular():
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		files.EnlargePipe(file)
		return &output{Writer: file, file: file, name: name}, nil
	case err == nil:
		// Whoever may not write to the file may not replace it, either.
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		file.Close()
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return nil, err
		}
	case isLink(name):
		return nil, errors.New("is a link that leads nowhere")
	}
	base := filepath.Base(name)
	base = base[:min(len(base), maxName-len("..12345678"))]
	temporary := filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%08x", base, rand.Uint32()))
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if info != nil {
		_ = file.Chmod(info.Mode().Perm()) // not every file system has modes
	}
	return &output{Writer: file, file: file, temporary: temporary, name: name}, nil
}

// traffic is packets, and the bytes of their data.
type traffic struct{ packets, bytes atomic.Int64 }

func (t *traffic) add(packets, bytes int64) {
	t.packets.Add(packets)
	t.bytes.Add(bytes)
}

// takesTime says that writing is worth a goroutine of its own: /dev/null is not.
func (o *output) takesTime() bool {
	file, ok := o.Writer.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0
}

// commit gives a finished file its name. Stdout needs none.
func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	file := o.file
	o.file = nil
	err := file.Close()
	if err == nil && o.temporary != "" {
		err = os.Rename(o.temporary, o.name)
	}
	if err != nil && o.temporary != "" {
		os.Remove(o.temporary)
	}
	if err != nil {
		return namedError(o.name, err)
	}
	return nil
}

// abandon removes what commit has not finished.
func (o *output) abandon() {
	if o.file == nil {
		return
	}
	o.file.Close()
	o.file = nil
	if o.temporary != "" {
		os.Remove(o.temporary)
	}
}

// outputFailed names the output in an error of it.
func (j *job) outputFailed(err error) error {
	var linkTypes *stream.LinkTypeError
	if errors.As(err, &linkTypes) {
		return withHint(err, "--pcapng writes a capture that holds both")
	}
	name := j.flags.String("output")
	if name == "" || name == "-" {
		name = "stdout"
	}
	return namedError(name, err)
}
