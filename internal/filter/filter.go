package filter

import (
	"errors"
	"fmt"
	"slices"

	"pcap-replay/stream"
)

// SyntaxError says what is wrong with an expression, and where.
type SyntaxError struct {
	Column int    // of Word, in bytes from 1
	Word   string // "" at the end of the expression
	Reason string

	futile   bool // the expression is valid, but never matches
	constant bool // it depends neither on packets nor on the link type
	full     bool // the expression may match, but there is not enough memory
	hint     string
}

// Hint says what may have been meant, or is "".
func (e *SyntaxError) Hint() string { return e.hint }

func (e *SyntaxError) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("column %d: at the end: %s", e.Column, e.Reason)
	}
	return fmt.Sprintf("column %d: %q: %s", e.Column, e.Word, e.Reason)
}

// maxText bounds an expression in bytes.
const maxText = 1 << 20

// maxTerms bounds the terms of an expression, of which a list of addresses is one: the time
// to compile grows with the square of their number, and is some seconds then.
const maxTerms = 1024

// maxOperators bounds those of arithmetic.
const maxOperators = 10_000

// countTerms counts primitives and comparisons.
func countTerms(tree node) int {
	count := 0
	for {
		switch n := tree.(type) {
		case nil:
			return 0
		case negation:
			tree = n.node
		case logical:
			count += countTerms(n.right)
			tree = n.left
		default:
			return count + 1
		}
	}
}

// Expression is a parsed expression. It may be compiled for any number of link
// types, also at the same time.
type Expression struct {
	tree    node // nil matches every packet
	word    token
	hasVLAN bool // it asks for VLAN tags
}

// Parse parses an expression. Its errors are of type *SyntaxError. An expression that no
// link type supports is an error, too.
func Parse(text string) (*Expression, error) {
	if len(text) > maxText {
		return nil, &SyntaxError{Column: maxText + 1, Reason: fmt.Sprintf("an expression may have at most %d bytes", maxText)}
	}
	expression, err := parseAndCheck(text)
	var refusal *SyntaxError
	if errors.As(err, &refusal) {
		refusal.suggest(text)
	}
	return expression, err
}

func parseAndCheck(text string) (*Expression, error) {
	tree, err := parse(text)
	if err != nil {
		return nil, err
	}
	tree = gather(tree)
	words := tokens(text)
	if terms := countTerms(tree); terms > maxTerms {
		return nil, words[0].refuse("the expression has %d terms, and %d are allowed besides addresses joined by or", terms, maxTerms)
	}
	e := &Expression{tree: tree, word: words[0], hasVLAN: slices.ContainsFunc(words, func(word token) bool { return word.text == "vlan" })}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e, nil
}

// supported are the link types with more tests than those of bytes.
var supported = []stream.LinkType{
	stream.LinkTypeEthernet, stream.LinkTypeLinuxSLL2, stream.LinkTypeLinuxSLL, stream.LinkTypeRaw,
	stream.LinkTypeIPv4, stream.LinkTypeIPv6, stream.LinkTypeNull, stream.LinkTypeLoop,
	stream.LinkTypePPP, linkTypePPPSerial, linkTypePPPEther, linkTypeCiscoHDLC,
	stream.LinkTypeIEEE80211, stream.LinkTypeIEEE80211Radio, stream.LinkTypeIEEE80211RadioAVS, stream.LinkTypePrismHeader, stream.LinkTypePPI,
}

// check compiles the expression for one link type after another until it succeeds. If none
// succeeds, it returns the error of the link type that got furthest: at best one for which
// the expression is valid, and which would match packets with more memory. Literal programs
// may never match, so they prove nothing.
func (e *Expression) check() error {
	var furthest *SyntaxError
	literally := false
	for _, link := range supported {
		program, err := e.Compile(link)
		var refusal *SyntaxError
		switch {
		case err == nil && !program.literal:
			return nil
		case err == nil:
			literally = true
		case !errors.As(err, &refusal):
			return err
		case furthest != nil && furthest.full:
		case furthest == nil, refusal.full, refusal.futile && !furthest.futile, refusal.constant && !furthest.constant:
			furthest = refusal
		case refusal.Column > furthest.Column && refusal.futile == furthest.futile && refusal.constant == furthest.constant:
			furthest = refusal
		}
	}
	if literally && (furthest == nil || !furthest.futile) {
		return nil
	}
	return furthest
}

// Compile makes the program for packets of one link type. It returns a *SyntaxError if the
// link type does not support the expression, or if no packet can match it.
func (e *Expression) Compile(link stream.LinkType) (*Program, error) {
	if e.tree == nil {
		return &Program{code: []instruction{{do: retK, k: 1}}}, nil
	}
	return e.compile(link, false)
}

func (e *Expression) compile(link stream.LinkType, literal bool) (*Program, error) {
	g, whole, err := generate(e.tree, link, literal)
	if err != nil {
		return nil, err
	}
	root := whole.decide(acceptPacket, rejectPacket)
	if !g.values.literal {
		root = reorder(root, !whole.startsKnown())
		if root == rejectPacket {
			return nil, g.refuseFutile(e.word)
		}
	}
	program, ok := assemble(root, g.registers)
	if !ok {
		refusal := e.word.refuse("the expression needs more than %d words of memory", memoryWords)
		refusal.full = true
		return nil, refusal
	}
	program.literal = g.values.literal
	return program, nil
}

// refuseFutile names the word because of which the expression matches no packet, or the
// first word if there are several.
func (g *generator) refuseFutile(first token) error {
	refusal := first.refuse("the expression rejects all packets of link type %s", g.outer)
	if g.futile != nil {
		refusal = g.futile.refuse("never matches link type %s, so the expression rejects all packets", g.outer)
	}
	refusal.futile = true
	return refusal
}
