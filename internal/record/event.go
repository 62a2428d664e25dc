package record

// InputEvent is the first part of an event about an input. The types of these events embed it.
type InputEvent struct {
	Event      string `json:"event"` // such as "damaged"
	Tool       string `json:"tool"`
	Path       string `json:"path"`
	PathRaw    []byte `json:"path_b64,omitempty"`
	Archive    string `json:"archive,omitempty"` // the tarball that Path is a member of
	ArchiveRaw []byte `json:"archive_b64,omitempty"`
}

// NewInputEvent returns the first part of an event. archive is "" for a file of its own.
func NewInputEvent(event, tool, path, archive string) InputEvent {
	return InputEvent{Event: event, Tool: tool, Path: path, PathRaw: RawName(path), Archive: archive, ArchiveRaw: RawName(archive)}
}

// Damaged is the report event for a damaged place that was skipped.
type Damaged struct {
	InputEvent
	Damage
}

// Failed is the report event for an input that could not be read, or not to its end.
type Failed struct {
	InputEvent
	Reason string `json:"reason"`
}

// Skipped is the report event for input that was left out on purpose.
type Skipped struct {
	Event      string `json:"event"` // "skipped"
	Tool       string `json:"tool"`
	Path       string `json:"path,omitempty"` // absent for packets of no known input
	PathRaw    []byte `json:"path_b64,omitempty"`
	Archive    string `json:"archive,omitempty"`
	ArchiveRaw []byte `json:"archive_b64,omitempty"`
	Packets    int64  `json:"packets,omitempty"`
	Reason     string `json:"reason"`
}

// Outdated is the report event for a capture that has changed since its record was made.
type Outdated struct {
	InputEvent
	Reason string `json:"reason"`
}

// Summary is the first part of the last event of a report. A tool embeds it and adds its
// counters.
type Summary struct {
	Event   string  `json:"event"` // "summary"
	Tool    string  `json:"tool"`
	Exit    int     `json:"exit"`
	Seconds float64 `json:"seconds"` // duration of the run
	// Outputs are the files that flags name as outputs, and stdout ("-").
	Outputs []Output `json:"outputs,omitempty"`
}

// Output is the state of one output at the end of a run.
type Output struct {
	Path    string `json:"path"` // "-" is stdout
	PathRaw []byte `json:"path_b64,omitempty"`
	Bytes   int64  `json:"bytes"` // written to it
	// Complete means that the output has all data, and that a file has its final name. A
	// file that is not complete has been removed.
	Complete bool `json:"complete"`
}
