// Package tool is what all tools share towards the user: flags and their values, messages
// and hints, exit codes, signals, the report, progress, and outputs.
//
// A tool is a [Tool]: its name, its flags, and a function. Main parses the arguments and
// calls the function with a [Run], whose parts are narrow: Flags, Messages, Report and
// Progress. A tool keeps the Run in a field and passes on only the part that is needed.
//
// There is one way to end. The function returns when its work is done or the context is
// cancelled. After a signal the runner waits for it, unless no byte has moved for a
// second: a read from a silent pipe and a write into a full one cannot be interrupted.
// Then, in any case, the runner asks the tool for its summary, prints the error, cleans up
// and ends the process with the exit code.
package tool
