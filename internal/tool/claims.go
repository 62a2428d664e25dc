package tool

import (
	"errors"
	"io"
	"slices"
	"strconv"

	"pcap-replay/internal/files"
)

// Claims are the files that a run writes. They must differ from each other and from all
// inputs.
type Claims struct {
	stdout   io.Writer
	files    []claim
	existing []existingOutput
}

// existingOutput is an output that exists already as a regular file.
type existingOutput struct {
	text  string // for messages
	place files.Place
}

// claim is a file that a flag names as an output.
type claim struct{ flag, name string }

func (c claim) String() string { return c.flag + " " + files.Display(c.name, "") }

// outputFlags are the flags that name outputs, as in messages. inputFlags are those that name
// inputs besides the operands.
var (
	outputFlags = []claim{{"-o", "output"}, {"-w", "write"}, {"--report", "report"}, {"--svg", "svg"}, {"-C", "directory"}}
	inputFlags  = []string{"select", "from-records", "filter-file"}
)

// ErrAlsoInput means that an output is also an input. Then not even the report is written,
// because it may be this output.
var ErrAlsoInput = errors.New("is also an input")

// claimOutputs refuses an output that is also an input, another output or stdout. It opens
// no file.
func (r *Run) claimOutputs() error {
	r.Claims.stdout = r.Out
	for _, flag := range outputFlags {
		if name := r.Flags.value(flag.name); isFile(flag.name, name) {
			r.Claims.files = append(r.Claims.files, claim{flag.flag, name})
		}
	}
	if r.tool.SideOutputs != nil {
		for _, name := range r.tool.SideOutputs(r.Flags) {
			r.Claims.files = append(r.Claims.files, claim{"index", name})
		}
	}
	places := make([]files.Place, len(r.Claims.files))
	for i, output := range r.Claims.files {
		places[i] = files.PlaceOf(output.name)
		if err := r.refuse(output, places[i], r.Claims.files[:i], places[:i]); err != nil {
			return err
		}
	}
	return nil
}

// isFile reports whether the value of a flag names a file. --report also takes numbers.
func isFile(flag, value string) bool {
	_, err := strconv.Atoi(value)
	return value != "" && value != "-" && (flag != "report" || err != nil)
}

// refuse returns an error if an output is also an input, stdout, or one of the outputs
// before it.
func (r *Run) refuse(output claim, place files.Place, others []claim, places []files.Place) error {
	if same := slices.IndexFunc(places, place.Is); same >= 0 && others[same] != output {
		return UsageErrorf("%v: is also the file of %v", output, others[same])
	}
	if (place.IsRegular() || r.Flags.dataToStdout()) && place.Is(files.PlaceOfStream(r.Out)) {
		return UsageErrorf("%v: is also stdout", output)
	}
	if place.IsRegular() && place.Is(files.PlaceOfStream(r.In)) {
		return UsageErrorf("%v: %w (stdin)", output, ErrAlsoInput)
	}
	for _, name := range r.inputNames() {
		if in := files.PlaceOf(name); in.IsRegular() && place.Is(in) {
			return UsageErrorf("%v: %w", output, ErrAlsoInput)
		}
	}
	return nil
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
		if place.IsRegular() {
			c.existing = append(c.existing, existingOutput{text, place})
		}
	}
	for _, output := range c.files {
		add(output.String(), files.PlaceOf(output.name))
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
