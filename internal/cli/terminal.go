package cli

import (
	"os"

	"golang.org/x/term"
)

func fileIsTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// terminalSize is how many characters fit into a line of a terminal, and how many
// lines onto it; ok is false for other files.
func terminalSize(file *os.File) (columns, lines int, ok bool) {
	columns, lines, err := term.GetSize(int(file.Fd()))
	return columns, lines, err == nil && columns > 0
}
