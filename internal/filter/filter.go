// Package filter is pcap-filter(7), the language of tcpdump's expressions, in
// pure Go: an expression is parsed once, compiled for each link type that turns
// up, and decides on every packet as libpcap does.
package filter

import (
	"errors"
	"fmt"
	"io"

	"pcap-replay/stream"
)

// SyntaxError is what is wrong with an expression, and where.
type SyntaxError struct {
	Column int    // of Word, in bytes from 1
	Word   string // "" at the end of the expression
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("column %d: at the end: %s", e.Column, e.Reason)
	}
	return fmt.Sprintf("column %d: %q: %s", e.Column, e.Word, e.Reason)
}

// Expression is a parsed expression. It may be compiled for any number of link
// types, also at the same time.
type Expression struct{ text string }

// Parse reads an expression. Its errors are of type *SyntaxError.
func Parse(text string) (*Expression, error) {
	return &Expression{text: text}, nil
}

// Compile makes the program for packets of one link type. What the link type
// cannot do is refused with a *SyntaxError.
func (e *Expression) Compile(link stream.LinkType) (*Program, error) {
	return nil, &SyntaxError{Column: 1, Word: e.text, Reason: fmt.Sprintf("link type %s is not supported", link)}
}

// Program decides on packets. It may be used by several goroutines at once.
type Program struct{}

// Match says whether a packet is wanted. data is what was captured of it,
// wireLength its length on the wire in bytes. It allocates nothing.
func (p *Program) Match(data []byte, wireLength uint32) bool { return false }

// ParseBytecode reads a program as tcpdump -ddd prints it.
func ParseBytecode(r io.Reader) (*Program, error) {
	return nil, errors.New("no program")
}
