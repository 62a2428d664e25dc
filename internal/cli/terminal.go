package cli

import (
	"os"

	"golang.org/x/term"
)

func fileIsTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }
