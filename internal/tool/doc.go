// Package tool has what all tools have in common for their users: flags and their values,
// messages and hints, exit codes, signals, the report, progress, and outputs.
//
// A tool is a [Tool]: its name, its flags, and a function. Main parses the arguments and
// calls the function with a [Run], whose parts are narrow: Flags, Messages, Report and
// Progress. A tool keeps the Run in a field and passes on only the part that is needed.
//
// # The files of a run
//
// [Claims] knows the files that a run writes. An output that is also an input, another
// output or stdout is refused before anything is written.
//
// # The end of a run
//
// One goroutine runs the function of the tool, and another one, the runner, waits for it
// and ends the run. The runner decides once, and nothing that happens later changes what
// it has decided:
//
//	running    the function runs
//	stopping   a signal has come: the context is cancelled, the runner waits for the
//	           function as long as bytes move, and a second more
//	given up   no byte has moved for that second, or a second signal has come: the
//	           outputs accept no more bytes, and the function has 100 ms to notice it
//	ended      the runner has decided
//
// Only the runner gives outputs their names, when it decides, and only if
//
//   - the function has returned nil, or an exit code of its own: everything is written,
//   - no signal has come, or a signal is an ordinary end of this run ([Run.KeepOutputs]),
//   - and every output could be closed: the file system has kept all of it.
//
// Otherwise it removes all of them, and the files that had their names before stay. A file
// that is complete in itself, such as a member of a tarball or an index, gets its name by
// [Run.PublishFile] while the run goes on, but not after a signal.
//
// Then the runner writes the summary: the exit code, the counters of the tool, and of each
// output how many bytes went to it and whether it is complete. A counter counts what has
// left the process: a packet that a compressor or a buffer still holds has not. Every
// report ends with a summary; where the tool had not set one yet, it is the bare head. The
// exit code is 128 plus the number of the signal that came before the decision, if one
// did.
//
// Nobody may read the report or stderr, so that these writes never end. After a signal, even
// one that comes after the decision, the runner waits for them for one second, and after a
// second signal for 100 ms. A run whose summary could not be written exits as one that this
// signal has ended.
package tool
