package tool

import (
	"errors"
	"io"
	"iter"
	"slices"
	"strconv"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
)

// Claims are the files that a run writes. They must differ from each other and from all
// inputs.
type Claims struct {
	stdout   io.Writer
	files    []claim
	inputs   iter.Seq2[string, files.Place] // see Run.inputs
	existing []existingOutput
}

// existingOutput is an output that exists already and can be read.
type existingOutput struct {
	text  string // for messages
	place files.Place
}

// claim is a file that a flag names as an output.
type claim struct {
	flag, name   string
	isDescriptor bool // the name is the number of an open descriptor
}

func (c claim) String() string { return c.flag + " " + files.Display(c.name, "") }

func (c claim) place() files.Place {
	if c.isDescriptor {
		return files.PlaceOf("/dev/fd/" + c.name)
	}
	return files.PlaceOf(c.name)
}

// indexClaim is the flag of a claim that is an index, which no flag names.
const indexClaim = "index"

// outputFlags are the flags that name outputs, as in messages. inputFlags are those that name
// inputs besides the operands.
var (
	outputFlags = []claim{{flag: "-o", name: "output"}, {flag: "-w", name: "write"}, {flag: "--report", name: "report"}, {flag: "--svg", name: "svg"}, {flag: "-C", name: "directory"}}
	inputFlags  = []string{"select", "from-records", "filter-file", "against"}
)

// ErrAlsoInput means that an output is also an input. Then not even the report is written,
// because it may be this output.
var ErrAlsoInput = errors.New("is also an input")

// claimOutputs refuses an output that is also an input, another output or stdout, and text that
// would replace a capture. It writes to no file.
func (r *Run) claimOutputs() error {
	r.Claims.stdout, r.Claims.inputs = r.Out, r.inputs
	for _, flag := range outputFlags {
		value := r.Flags.value(flag.name)
		switch {
		case value == "" || value == "-":
		case flag.name == "report" && isDescriptor(value):
			if fd, _ := strconv.Atoi(value); fd != stdoutDescriptor {
				r.Claims.files = append(r.Claims.files, claim{flag.flag, strconv.Itoa(fd), true})
			}
		default:
			r.Claims.files = append(r.Claims.files, claim{flag: flag.flag, name: value})
		}
	}
	if r.tool.SideOutputs != nil {
		for _, name := range r.tool.SideOutputs(r.Flags) {
			r.Claims.files = append(r.Claims.files, claim{flag: indexClaim, name: name})
		}
	}
	places := make([]files.Place, len(r.Claims.files))
	for i, output := range r.Claims.files {
		places[i] = output.place()
		if err := r.refuse(output, places[i], r.Claims.files[:i], places[:i]); err != nil {
			return err
		}
	}
	return nil
}

// otherFile is the hint for an output that would replace other data. Mostly, the name of the
// output was forgotten, as in pcap-map --svg a.pcap.
const otherFile = "name another file, or remove this one first"

// isText reports whether an output is a report, a picture or records.
func (r *Run) isText(output claim) bool {
	switch output.flag {
	case "--report", "--svg":
		return true
	case "-o":
		return r.Flags.set.Lookup("compress") == nil // tools that write captures have it
	}
	return false
}

// isDescriptor reports whether the value of --report is the number of a descriptor.
func isDescriptor(value string) bool {
	_, err := strconv.Atoi(value)
	return err == nil
}

// refuse returns an error if an output is also an input, stdout, or one of the outputs
// before it. Report.open compares a descriptor with stdout.
func (r *Run) refuse(output claim, place files.Place, others []claim, places []files.Place) error {
	if same := slices.IndexFunc(places, place.Is); same >= 0 && others[same] != output {
		return UsageErrorf("%v: is also the file of %v", output, others[same])
	}
	if !output.isDescriptor && (place.IsRegular() || r.Flags.dataToStdout()) && place.Is(files.PlaceOfStream(r.Out)) {
		return UsageErrorf("%v: is also stdout", output)
	}
	if !place.CanBeReadBack() {
		return nil
	}
	for text, in := range r.inputs {
		if place.Is(in) {
			return UsageErrorf("%v: %w%s", output, ErrAlsoInput, text)
		}
	}
	if output.flag == indexClaim {
		return nil
	}
	if place.IsRegular() && !output.isDescriptor { // to open a named pipe would wait for its other end
		switch {
		case archive.IsFile(output.name):
			return UsageErrorf("%v: would replace a tarball", output).WithHint(otherFile)
		case r.isText(output) && archive.HoldsCaptures(output.name):
			return UsageErrorf("%v: would replace a capture", output).WithHint(otherFile)
		}
	}
	for _, name := range r.inputNames() {
		if place.Is(files.PlaceOf(archive.IndexPath(name))) {
			return UsageErrorf("%v: %w (the index of %s)", output, ErrAlsoInput, files.Display(name, ""))
		}
	}
	return nil
}

// inputs are the files that the command line names as inputs, and stdin. The text says which
// one it is, unless it is named.
func (r *Run) inputs(yield func(text string, place files.Place) bool) {
	if stdin := files.PlaceOfStream(r.In); stdin.CanBeReadBack() && !yield(" (stdin)", stdin) {
		return
	}
	for _, name := range r.inputNames() {
		if in := files.PlaceOf(name); in.CanBeReadBack() && !yield("", in) {
			return
		}
	}
}

// inputNames are the inputs that the command line names.
func (r *Run) inputNames() []string {
	names := r.Flags.Operands()
	if r.tool.InputOperands != nil {
		names = r.tool.InputOperands(names)
	}
	for _, flag := range inputFlags {
		names = append(slices.Clip(names), r.Flags.value(flag))
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" || name == "-" })
}

// dataToStdout reports whether the run writes its data to stdout.
func (f *Flags) dataToStdout() bool {
	return !slices.ContainsFunc([]string{"output", "write", "directory", "interface"}, func(flag string) bool {
		value := f.value(flag)
		return value != "" && value != "-"
	})
}

// find remembers the outputs that exist, for Of.
func (c *Claims) find() {
	c.existing = nil
	add := func(text string, place files.Place) {
		if place.CanBeReadBack() {
			c.existing = append(c.existing, existingOutput{text, place})
		}
	}
	for _, output := range c.files {
		add(output.String(), output.place())
	}
	add("stdout", files.PlaceOfStream(c.stdout))
}

// Check refuses a path in a record that leads to an output.
func (c *Claims) Check(path string) error {
	if output, ok := c.Of(path); ok {
		return UsageErrorf("%s: %w", output, ErrAlsoInput)
	}
	return nil
}

// Of returns the output that a path leads to, as messages name it. It knows the files that
// existed when the run began, and the report.
func (c *Claims) Of(path string) (output string, ok bool) {
	if len(c.existing) == 0 {
		return "", false
	}
	place := files.PlaceOf(path)
	for _, e := range c.existing {
		if place.Is(e.place) {
			return e.text, true
		}
	}
	return "", false
}

// IsInput reports whether a path leads to a file that the command line names as an input, or
// to stdin.
func (c *Claims) IsInput(path string) bool {
	place := files.PlaceOf(path)
	if !place.IsRegular() {
		return false
	}
	for _, in := range c.inputs {
		if place.Is(in) {
			return true
		}
	}
	return false
}
