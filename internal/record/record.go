// Package record has the NDJSON records that the tools write and read. Each record is one
// JSON object on one line, written with one Write. A field has the same name and unit in
// all records: times are UTC text with nine decimals, durations are numbers of seconds, and
// sizes are in bytes. It is the only package that uses json-iterator.
package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	jsoniter "github.com/json-iterator/go"
)

// MaxLineLength is the longest line that a Decoder accepts, in bytes.
const MaxLineLength = 16 << 20

// json does not escape <, > and &, because people read records.
var json = jsoniter.Config{ValidateJsonRawMessage: true, SortMapKeys: true}.Froze()

// Encoder writes records. It is not safe for concurrent use.
type Encoder struct{ dst io.Writer }

// NewEncoder returns an Encoder that writes each record to dst with one Write.
func NewEncoder(dst io.Writer) *Encoder { return &Encoder{dst} }

// Encode writes v as one line.
func (e *Encoder) Encode(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if !utf8.Valid(line) {
		line = bytes.ToValidUTF8(line, replacement)
	}
	_, err = e.dst.Write(append(escapeControls(line), '\n'))
	return err
}

// escapeControls escapes the characters of names that control a terminal or change the
// direction of text. JSON itself requires this only of those below U+0020.
func escapeControls(line []byte) []byte {
	isControl := func(r rune) bool {
		const lastPrintableOfASCII = 0x7e // looking into the tables takes time
		return r > lastPrintableOfASCII && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp))
	}
	if !bytes.ContainsFunc(line, isControl) {
		return line
	}
	var escaped []byte
	for _, r := range string(line) {
		if !isControl(r) {
			escaped = utf8.AppendRune(escaped, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			escaped = fmt.Appendf(escaped, `\u%04x`, unit)
		}
	}
	return escaped
}

// replacement replaces invalid UTF-8 in names. RFC 8259, section 8.1, requires UTF-8, but
// json-iterator does not check it.
var replacement = []byte("\uFFFD")

// Decoder reads records line by line.
type Decoder struct {
	lines *bufio.Scanner
	line  int
}

// NewDecoder returns a Decoder that reads from src.
func NewDecoder(src io.Reader) *Decoder {
	lines := bufio.NewScanner(src)
	lines.Buffer(make([]byte, 64<<10), MaxLineLength)
	return &Decoder{lines: lines}
}

// ReadError is an error of the source of the records.
type ReadError struct {
	Line int
	Err  error
}

func (e *ReadError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *ReadError) Unwrap() error { return e.Err }

// Decode reads the next record into v and skips empty lines. It returns io.EOF at the end.
// Other errors name the line. They are a [*ReadError] if the source failed.
func (d *Decoder) Decode(v any) error {
	for d.lines.Scan() {
		d.line++
		line := bytes.TrimSpace(d.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if line[0] != '{' {
			return fmt.Errorf("line %d: not a record: begins with %q", d.line, line[:min(len(line), 8)])
		}
		err := json.Unmarshal(line, v)
		if err != nil && d.lines.Err() != nil { // the line is incomplete
			return &ReadError{d.line, d.lines.Err()}
		}
		if err != nil {
			return fmt.Errorf("line %d: not a record: %s", d.line, problem(line, err))
		}
		return nil
	}
	if err := d.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d: over %d bytes", d.line+1, MaxLineLength)
	} else if err != nil {
		return &ReadError{d.line + 1, err}
	}
	return io.EOF
}

// problem says what is wrong with a line. The messages of json-iterator name functions and types
// of Go.
func problem(line []byte, err error) string {
	const most = 200
	text, _, _ := strings.Cut(err.Error(), ", error found in #")
	// The decoders are called textUnmarshalerDecoder and unmarshalerDecoder.
	if _, own, ok := strings.Cut(text, "nmarshalerDecoder: "); ok { // a time or a shift
		quoted := strings.Trim(strconv.QuoteToGraphic(own[:min(len(own), most)]), `"`)
		return strings.ReplaceAll(quoted, `\"`, `"`)
	}
	if line[len(line)-1] != '}' {
		return "the line has only the beginning of one"
	}
	if strings.Contains(text, "bytes left after unmarshal") {
		return "the line goes on after the first one"
	}
	field := fieldIn(text)
	if field == "" || !json.Valid(line) {
		return "not valid JSON"
	}
	return fmt.Sprintf("wrong value of %q", fieldName(field))
}

// fieldIn returns the last field in a message of json-iterator, such as Packets in
// "record.ShiftedCapture.Capture: Packets: readUint64: unexpected character".
func fieldIn(text string) (field string) {
	for part := range strings.SplitSeq(text, ": ") {
		name := part[strings.LastIndexByte(part, '.')+1:]
		if name == "" || !unicode.IsUpper(rune(name[0])) || name == "ReadString" || strings.HasPrefix(part, "strconv.") {
			break
		}
		field = name
	}
	return field
}

// fieldName returns the name of a field in records. MaxDisorder is max_disorder, and PathRaw is
// path_b64.
func fieldName(name string) string {
	name = strings.Replace(name, "Raw", "B64", 1)
	return strings.ToLower(upperInside.ReplaceAllString(name, "${1}_$2"))
}

var upperInside = regexp.MustCompile(`([a-z])([A-Z])`)

// Line is the number of the line that Decode read last. It counts from 1.
func (d *Decoder) Line() int { return d.line }

// RawName returns the value of the _b64 field of a name: its bytes if the name is not
// UTF-8, and otherwise nil.
func RawName(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

// Name is the inverse of RawName: it prefers the raw bytes to the text.
func Name(text string, raw []byte) string {
	if len(raw) > 0 {
		return string(raw)
	}
	return text
}
