package tool

import (
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether a stream is a terminal. Tests use buffers.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// TerminalSize returns the columns and lines of a terminal. ok is false for other streams.
func TerminalSize(stream any) (columns, lines int, ok bool) {
	file, isFile := stream.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	columns, lines, err := term.GetSize(int(file.Fd()))
	return columns, lines, err == nil && columns > 0
}

// eraseLine clears the line of a terminal. It may have a ^C that was typed, or the progress
// of another tool.
const eraseLine = "\r\x1b[K"

// lineErasure is eraseLine for a terminal that supports it, and "" otherwise.
func lineErasure(stream any) string {
	if IsTerminal(stream) && os.Getenv("TERM") != "dumb" {
		return eraseLine
	}
	return ""
}
