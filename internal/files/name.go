package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Display is the name of a file in messages, safe for a terminal: of stdin ("-"), of a
// file, or of a member of an archive. archive is "" for what is not a member.
func Display(path, archive string) string {
	switch {
	case archive != "":
		return Display(archive, "") + ": " + Escape(path)
	case path == "-":
		return "stdin"
	case path == "":
		return `""`
	}
	return Escape(path)
}

// Escape makes a name safe for a terminal and for one line, as GNU tar and ls do:
// control characters and bytes that are not UTF-8 become \n or \033, and a backslash is
// doubled.
func Escape(name string) string {
	return EscapeControls(strings.ReplaceAll(name, `\`, `\\`))
}

// EscapeControls is Escape for text whose names have been escaped already: it leaves
// backslashes as they are.
func EscapeControls(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		switch {
		case strings.ContainsRune("\a\b\f\n\r\t\v", r):
			b.WriteByte('\\')
			b.WriteByte("abfnrtv"[strings.IndexRune("\a\b\f\n\r\t\v", r)])
		case unicode.IsControl(r), r == utf8.RuneError && size == 1, unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp): // Cf changes the direction of text, Zl and Zp separate lines
			for _, c := range []byte(name[:size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteString(name[:size])
		}
		name = name[size:]
	}
	return b.String()
}

// plainWord is a word that a shell takes as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// Quote writes a word as a shell reads it, safe for a terminal.
func Quote(word string) string {
	escaped := Escape(word)
	switch {
	case plainWord.MatchString(word):
		return word
	case escaped == word:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return "$'" + strings.ReplaceAll(escaped, "'", `\'`) + "'"
}

// QuoteLine writes a command line as a shell reads it, safe for a terminal.
func QuoteLine(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = Quote(word)
	}
	return strings.Join(quoted, " ")
}

// Named puts the path before an error that may already contain it.
func Named(path string, err error) error {
	return fmt.Errorf("%s: %w", Display(path, ""), WithoutPath(err))
}

// WithoutPath removes the operation and the path from the errors of package os, and the
// name from those of an [Output].
func WithoutPath(err error) error {
	var written *writeError
	if errors.As(err, &written) {
		return written.err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	var path *fs.PathError
	for errors.As(err, &path) {
		err = path.Err
	}
	return err
}

// Same reports whether two paths lead to the same file.
func Same(a, b string) bool {
	if a == b {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
