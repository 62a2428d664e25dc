package tool

import (
	"os"

	"golang.org/x/term"
)

// IsTerminal says whether a stream is a terminal. Tests pass buffers.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// TerminalSize is how many characters fit into a line of a terminal, and how many lines
// onto it; ok is false for other streams.
func TerminalSize(stream any) (columns, lines int, ok bool) {
	file, isFile := stream.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	columns, lines, err := term.GetSize(int(file.Fd()))
	return columns, lines, err == nil && columns > 0
}
