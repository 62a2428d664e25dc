package tool

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/files"
	"pcap-replay/stream"
)

// OutputFlag is -o.
func OutputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of stdout"}
}

// CompressFlag is -z.
func CompressFlag() cli.Flag {
	return &cli.StringFlag{Name: "compress", Aliases: []string{"z"}, Usage: "compress the output with `METHOD`: lz4, zstd, gzip or none", DefaultText: "by the name of the output"}
}

// StreamFlags are the flags of the tools that write captures.
func StreamFlags() []cli.Flag {
	return []cli.Flag{
		OutputFlag(), CompressFlag(),
		&cli.BoolFlag{Name: "pcapng", Usage: "write pcapng, which can hold several link types"},
	}
}

// WriterOptions reads StreamFlags.
func (f *Flags) WriterOptions() (stream.WriterOptions, error) {
	compression, err := f.Compression()
	if err != nil {
		return stream.WriterOptions{}, err
	}
	options := OptionsOf(f.String("output"))
	options.PcapNG = options.PcapNG || f.Bool("pcapng")
	options.Compression = compression
	return options, nil
}

// suffixes are the ends of names that say how the file is compressed.
var suffixes = map[string]stream.Compression{".gz": stream.Gzip, ".lz4": stream.LZ4, ".zst": stream.Zstd}

// unwritten are the ends of names of the compressions that are only read.
var unwritten = []string{".bz2", ".xz"}

// isArchiveName matches the name of an archive. The tools write captures only.
var isArchiveName = regexp.MustCompile(`(?i)\.(tar|tar\.(gz|lz4|zst)|tgz|zip)$`).MatchString

// CheckCompression refuses the name of a capture that promises an archive, or a compression
// which the tools do not write.
func CheckCompression(flag, name string) error {
	if isArchiveName(name) {
		return UsageErrorf("%s %s: the output is a capture, and not an archive", flag, files.Display(name, "")).
			WithHint("give it a name such as out.pcap or out.pcap.zst")
	}
	suffix := strings.ToLower(filepath.Ext(name))
	if !slices.Contains(unwritten, suffix) {
		return nil
	}
	return UsageErrorf("%s %s: the tools read %s, but do not write it", flag, files.Display(name, ""), suffix).
		WithHint("names that end in .gz, .lz4 or .zst are compressed")
}

// OptionsOf returns the options of a capture according to its name: .gz, .lz4 or .zst is the
// compression, and .pcapng before that is the format.
func OptionsOf(name string) stream.WriterOptions {
	options := stream.WriterOptions{LinkType: stream.LinkTypeEthernet}
	suffix := filepath.Ext(name)
	if compression, ok := suffixes[strings.ToLower(suffix)]; ok {
		options.Compression, name = compression, strings.TrimSuffix(name, suffix)
	}
	options.PcapNG = strings.EqualFold(filepath.Ext(name), ".pcapng")
	return options
}

// Compression reads CompressFlag. Without it, the name of the output decides.
func (f *Flags) Compression() (stream.Compression, error) {
	name := f.String("compress")
	for _, c := range []stream.Compression{stream.LZ4, stream.Zstd, stream.Gzip, stream.Uncompressed} {
		if name == c.String() {
			return c, nil
		}
	}
	if output := f.String("output"); name == "" {
		return OptionsOf(output).Compression, CheckCompression("-o", output)
	}
	return 0, UsageErrorf("-z %q: wanted lz4, zstd, gzip or none", name)
}

// OpenOutput opens the output of -o, or stdout. It refuses binary data on a terminal.
func (r *Run) OpenOutput(binary bool) (*files.Output, error) {
	name := r.Flags.String("output")
	if name == "" || name == "-" {
		return r.OpenStdout(binary, "-o")
	}
	if binary {
		return r.CreateCapture("-o", name)
	}
	return r.CreateOutput("-o", name)
}

// CreateCapture is CreateOutput for a capture. It refuses a terminal.
func (r *Run) CreateCapture(flag, name string) (*files.Output, error) {
	out, err := r.create(flag, name)
	if err != nil {
		return nil, err
	}
	if out.IsTerminal(IsTerminal) {
		out.Abandon()
		return nil, notText(out.Display())
	}
	return r.add(out)
}

// OpenStdout returns stdout as an output. A hint names the flag for another output.
func (r *Run) OpenStdout(binary bool, flag string) (*files.Output, error) {
	if !IsTerminal(r.Out) {
		return r.add(files.Stdout(r.Out))
	}
	if binary {
		return nil, notText("stdout").WithHint("redirect it, pipe it, or name a file with " + flag)
	}
	return r.add(files.Stdout(r.Progress.Over(r.Out)))
}

// CreateOutput creates the file that a flag names. The runner gives it its name when the
// function of the tool has returned nil, and removes it otherwise.
func (r *Run) CreateOutput(flag, name string) (*files.Output, error) {
	out, err := r.create(flag, name)
	if err != nil {
		return nil, err
	}
	return r.add(out)
}

// create creates a file. The runner does not know it yet, because it may close files that it
// knows.
func (r *Run) create(flag, name string) (*files.Output, error) {
	out, err := files.Create(name)
	if err != nil {
		return nil, UsageErrorf("%s %w", flag, files.Named(name, err))
	}
	for _, change := range out.Changes() {
		r.Messages.Warnf("%s %s: %s", flag, out.Display(), change)
	}
	return out, nil
}

// add passes an output to the runner, unless the run is over.
func (r *Run) add(out *files.Output) (*files.Output, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.over {
		out.Abandon()
		return nil, context.Cause(r.Context)
	}
	r.outputs = append(r.outputs, out)
	return out, nil
}

// notText is the error of a capture that would go to a terminal.
func notText(name string) *UsageError {
	return UsageErrorf("%s is a terminal, and a capture is binary", name)
}

// OutputError adds the name of the output, or a hint, to an error of writing a capture.
func OutputError(out *files.Output, err error) error {
	var linkTypes *stream.LinkTypeError
	if errors.As(err, &linkTypes) {
		return WithHint(err, "--pcapng writes a capture that holds both")
	}
	var late *stream.TimeError
	if errors.As(err, &late) && !late.PcapNG && late.Time > 0 {
		return WithHint(out.Named(err), "--pcapng holds later times")
	}
	return out.Named(err)
}
