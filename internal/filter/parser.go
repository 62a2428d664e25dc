package filter

import "strings"

// maxDepth limits the nesting of an expression, and with it the stack.
const maxDepth = 1000

// protocols are the words that may qualify an address, begin an index such as
// tcp[13], or stand alone for all packets of the protocol.
var protocols = words(`link ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp igrp pim vrrp carp ah esp
	atalk aarp decnet lat sca moprc mopdl iso esis isis clnp l1 l2 iih lsp snp csnp psnp stp ipx netbeui radio`)

// elsewhere are the primitives of unsupported link types.
var elsewhere = words(`on rset rnr srnr reason action lane metac bcc oam oamf4 oamf4ec oamf4sc sc ilmic vpi vci
	connectmsg metaconnect fisu lssu msu hfisu hlssu hmsu sio opc dpc sls hsio hopc hdpc hsls`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(text) {
		set[word] = true
	}
	return set
}

// qualifiers say what an identifier means. They are inherited: in
// "port 80 or 443" both are ports.
type qualifiers struct {
	protocol  string // "" is any
	direction string // src, dst, src or dst, src and dst, addr1 to addr4, ra, ta
	kind      string // host, net, port, portrange, proto, protochain, gateway
	known     bool   // false if there is nothing to inherit
}

// parser turns tokens into a tree. Its language is that of libpcap's grammar.
type parser struct {
	tokens    []token
	at        int
	depth     int
	operators int // of arithmetic so far
}

// parse parses a whole expression. The result for an empty one is nil, which matches every
// packet.
func parse(text string) (tree node, err error) {
	p := &parser{tokens: tokens(text)}
	defer recoverRefusal(&err)
	if p.peek().kind == tokenEnd {
		return nil, nil
	}
	tree = p.whole(p.list(qualifiers{})).node
	if p.peek().kind != tokenEnd {
		p.unexpected("and, or, or the end")
	}
	return tree, nil
}

// recoverRefusal turns the panic of refuse into an error.
func recoverRefusal(err *error) {
	switch reason := recover().(type) {
	case nil:
	case *SyntaxError:
		*err = reason
	default:
		panic(reason)
	}
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// skip skips a word if it is the next one.
func (p *parser) skip(word string) bool {
	if !p.peek().is(word) {
		return false
	}
	p.at++
	return true
}

func (p *parser) want(word string) {
	if !p.skip(word) {
		p.unexpected(word)
	}
}

func (p *parser) number() token {
	if p.peek().kind != tokenNumber {
		p.unexpected("a number")
	}
	return p.next()
}

// optionalNumber parses a number, which may be in parentheses.
func (p *parser) optionalNumber() *token {
	switch {
	case p.peek().kind == tokenNumber:
		number := p.next()
		return &number
	case p.peek().is("("):
		defer p.nest()()
		p.at++
		number := p.optionalNumber()
		if number == nil {
			p.unexpected("a number")
		}
		p.want(")")
		return number
	}
	return nil
}

func (p *parser) unexpected(wanted string) {
	t := p.peek()
	if t.kind == tokenIllegal {
		panic(t.refuse("%s", t.reason))
	}
	panic(t.refuse("wanted %s", wanted))
}

// nest counts a level of nesting until the returned function is called.
func (p *parser) nest() func() {
	if p.depth++; p.depth > maxDepth {
		panic(p.peek().refuse("nested more than %d deep", maxDepth))
	}
	return func() { p.depth-- }
}

// item is a condition, or an operand if a parenthesis may contain only arithmetic: (tcp[0]
// = 1) or (tcp[0] + 1) = 2.
type item struct {
	node    node
	operand operand
	// qualifiers are what the next identifier inherits.
	qualifiers qualifiers
}

// whole requires a condition.
func (p *parser) whole(i item) item {
	if i.operand != nil {
		p.unexpected("a comparison such as = or <")
	}
	return i
}

// list parses terms joined by and and or, which have the same precedence from left to
// right. before has the qualifiers that an identifier inherits.
func (p *parser) list(before qualifiers) item {
	left := p.item(before)
	if left.operand != nil {
		return left
	}
	for {
		join := p.peek()
		if !join.is("and") && !join.is("or") {
			return left
		}
		p.at++
		right := item{qualifiers: left.qualifiers}
		if p.atIdentifier() {
			right.node = p.identifier(left.qualifiers)
		} else {
			right = p.whole(p.item(left.qualifiers))
		}
		right.node = logical{or: join.is("or"), left: left.node, right: right.node}
		left = right
	}
}

// atIdentifier reports whether the next tokens are an identifier that inherits its qualifiers,
// also after not and parentheses. A number is an identifier unless an arithmetic operator
// follows it.
func (p *parser) atIdentifier() bool {
	at, open := p.at, 0
	for ; ; at++ {
		switch t := p.tokens[at]; {
		case t.is("("):
			open++
			continue
		case t.is("not"):
			open = 0
			continue
		}
		break
	}
	switch p.tokens[at].kind {
	case tokenName, tokenIPv4, tokenIPv6, tokenMAC:
		return true
	case tokenNumber:
		for at++; open > 0 && p.tokens[at].is(")"); at++ {
			open--
		}
		return !isOperator(p.tokens[at]) && !isComparison(p.tokens[at])
	}
	return false
}

// item parses a term, or an operand in parentheses.
func (p *parser) item(before qualifiers) item {
	defer p.nest()()
	t := p.peek()
	switch {
	case t.is("not"):
		p.at++
		inner := p.whole(p.item(before))
		inner.node = negation{inner.node}
		return inner
	case t.is("("):
		p.at++
		inner := p.list(before)
		p.want(")")
		if inner.operand != nil {
			return p.comparison(p.operation(inner.operand, ""))
		}
		inner.qualifiers = before
		return inner
	case p.atOperand():
		return p.comparison(p.operation(p.operand(), ""))
	}
	return p.primitive()
}

func (p *parser) atOperand() bool {
	t := p.peek()
	return t.kind == tokenNumber || t.is("-") || t.is("len") || t.kind == tokenWord && protocols[t.word] && p.tokens[p.at+1].is("[")
}

func isComparison(t token) bool {
	return t.is("=") || t.is("!=") || t.is("<") || t.is("<=") || t.is(">") || t.is(">=")
}

// precedence of the operators. Operators without one take everything that follows as their
// operand, as in libpcap's grammar, which has no precedence for % and ^: 5 % 3 + 1 is 5 %
// (3 + 1).
var precedence = map[string]int{"|": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 0, "^": 0, "unary -": 6}

func isOperator(t token) bool {
	_, ok := precedence[t.word]
	return ok && t.kind == tokenWord
}

// comparison parses the comparison of an operand, if there is one.
func (p *parser) comparison(left operand) item {
	operator := p.peek()
	if !isComparison(operator) {
		return item{operand: left}
	}
	p.at++
	right := p.operation(p.operand(), "")
	return item{node: comparison{operator: operator.word, left: left, right: right}}
}

// operation reads on after an operand while the operators bind more tightly
// than the one to the left.
func (p *parser) operation(left operand, outer string) operand {
	for {
		operator := p.peek()
		if !isOperator(operator) {
			return left
		}
		if bound := precedence[operator.word]; bound > 0 && precedence[outer] >= bound {
			return left
		}
		p.at++
		if p.operators++; p.operators > maxOperators {
			panic(operator.refuse("the expression has more than %d operators of arithmetic", maxOperators))
		}
		right := p.operation(p.operand(), operator.word)
		left = operation{operator: operator, left: left, right: right}
	}
}

func (p *parser) operand() operand {
	defer p.nest()()
	t := p.peek()
	switch {
	case t.kind == tokenNumber:
		p.at++
		return number(t.number)
	case t.is("len"):
		p.at++
		return wireLength{}
	case t.is("-"):
		p.at++
		return minus{p.operation(p.operand(), "unary -")}
	case t.is("("):
		p.at++
		inner := p.operation(p.operand(), "")
		p.want(")")
		return inner
	case t.kind == tokenWord && protocols[t.word]:
		p.at++
		p.want("[")
		o := field{protocol: t, offset: p.operation(p.operand(), ""), size: 1}
		if p.skip(":") {
			size := p.number()
			if o.size = size.number; o.size != 1 && o.size != 2 && o.size != 4 {
				panic(size.refuse("a field has 1, 2 or 4 bytes"))
			}
		}
		p.want("]")
		return o
	}
	p.unexpected("a number, len, or a field such as tcp[13]")
	return nil
}

// primitive parses a primitive that is not arithmetic.
func (p *parser) primitive() item {
	t := p.peek()
	if t.kind != tokenWord {
		if t.kind == tokenName || t.kind == tokenIPv4 || t.kind == tokenIPv6 || t.kind == tokenMAC {
			panic(t.refuse("wanted a qualifier such as host or port before it"))
		}
		p.unexpected("a condition")
	}
	protocol := token{column: t.column}
	if protocols[t.word] {
		protocol = p.next()
	}
	q := qualifiers{protocol: protocol.word, known: true}
	switch t := p.peek(); {
	case t.is("broadcast"), t.is("multicast"):
		p.at++
		return item{node: cast{word: t, protocol: protocol.word}}
	case t.is("type"), t.is("subtype"), t.is("dir"):
		return item{node: p.wlan()}
	case t.is("proto"), t.is("protochain"), t.is("gateway"):
		q.kind = p.next().word
	default:
		q.direction = p.direction()
		if t := p.peek(); t.is("host") || t.is("net") || t.is("port") || t.is("portrange") {
			q.kind = p.next().word
		}
		if q.direction == "" && q.kind == "" {
			if protocol.kind == tokenWord {
				return item{node: abbreviation{protocol}}
			}
			return item{node: p.keyword()}
		}
	}
	return item{node: p.identifier(q), qualifiers: q}
}

func (p *parser) direction() string {
	switch t := p.peek(); {
	case t.is("src"), t.is("dst"):
		p.at++
		other := "dst"
		if t.is("dst") {
			other = "src"
		}
		join := p.peek()
		if !join.is("and") && !join.is("or") {
			return t.word
		}
		p.at++
		p.want(other)
		return "src " + join.word + " dst"
	case t.is("addr1"), t.is("addr2"), t.is("addr3"), t.is("addr4"), t.is("ra"), t.is("ta"):
		p.at++
		return t.word
	}
	return ""
}

// identifier parses an address, a name or a number, or several of them in parentheses.
func (p *parser) identifier(q qualifiers) node {
	defer p.nest()()
	t := p.peek()
	switch {
	case t.is("not"):
		p.at++
		return negation{p.identifier(q)}
	case t.is("("):
		p.at++
		left := p.identifier(q)
		for p.peek().is("and") || p.peek().is("or") {
			join := p.next()
			left = logical{or: join.is("or"), left: left, right: p.identifier(q)}
		}
		p.want(")")
		return left
	}
	id := identifier{qualifiers: q, token: t}
	switch t.kind {
	case tokenName, tokenNumber, tokenMAC:
		p.at++
	case tokenIPv4, tokenIPv6:
		p.at++
		switch {
		case t.kind == tokenIPv4 && p.skip("mask"):
			if p.peek().kind != tokenIPv4 {
				p.unexpected("a mask such as 255.255.0.0")
			}
			mask := p.next()
			id.mask = &mask
		case p.skip("/"):
			length := p.number()
			id.length = &length
		}
	default:
		p.unexpected("an address, a name or a number")
	}
	if !q.known {
		panic(t.refuse("wanted a qualifier such as host or port before it"))
	}
	return id
}

// keyword parses a primitive that begins with a keyword of its own.
func (p *parser) keyword() node {
	t := p.next()
	switch t.word {
	case "less", "greater":
		return lengthLimit{less: t.is("less"), limit: p.number().number}
	case "byte":
		return p.byteTest()
	case "inbound", "outbound":
		return direction{t}
	case "ifindex":
		return interfaceIndex{word: t, index: p.number().number}
	case "vlan", "mpls", "pppoes", "geneve", "vxlan":
		return tag{word: t, number: p.optionalNumber()}
	case "pppoed":
		return discovery{t}
	case "llc":
		return p.llc(t)
	}
	if elsewhere[t.word] {
		panic(t.refuse("is for link types that are not supported"))
	}
	p.at--
	p.unexpected("a condition")
	return nil
}

func (p *parser) byteTest() node {
	index := p.number()
	operator := p.next()
	if !operator.is("=") && !operator.is("<") && !operator.is(">") && !operator.is("&") && !operator.is("|") {
		p.at--
		p.unexpected("=, <, >, & or |")
	}
	argument := p.number()
	if argument.number > 255 {
		panic(argument.refuse("a byte is at most 255"))
	}
	return byteTest{index: index.number, operator: operator.word, argument: argument.number}
}
