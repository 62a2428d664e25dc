// Package record holds the NDJSON records that the tools print and read: one
// object a line, written whole. The same field has the same name and unit
// everywhere: times are UTC text with nine decimals, durations seconds as
// numbers, sizes bytes. It is the only package that knows json-iterator.
package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	jsoniter "github.com/json-iterator/go"
)

// MaxLineLength is the longest line that a Decoder takes, in bytes.
const MaxLineLength = 16 << 20

// json keeps <, > and & as they are: records are read by people, not by browsers.
var json = jsoniter.Config{ValidateJsonRawMessage: true, SortMapKeys: true}.Froze()

// Encoder writes records. It is not safe for concurrent use.
type Encoder struct{ dst io.Writer }

// NewEncoder writes to dst with one Write a record.
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
	_, err = e.dst.Write(append(line, '\n'))
	return err
}

// replacement stands for what is not UTF-8 in a name: RFC 8259, section 8.1, wants
// UTF-8, and json-iterator leaves everything as it is.
var replacement = []byte("\uFFFD")

// Decoder reads records line by line.
type Decoder struct {
	lines *bufio.Scanner
	line  int
}

// NewDecoder reads from src.
func NewDecoder(src io.Reader) *Decoder {
	lines := bufio.NewScanner(src)
	lines.Buffer(make([]byte, 64<<10), MaxLineLength)
	return &Decoder{lines: lines}
}

// ReadError says that records could not be read on, whatever they hold.
type ReadError struct {
	Line int
	Err  error
}

func (e *ReadError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *ReadError) Unwrap() error { return e.Err }

// Decode reads the next record into v, passing over empty lines. It returns
// io.EOF at the end; other errors name the line, and are a [*ReadError] where it is
// not the line's fault.
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
		if err != nil && d.lines.Err() != nil { // half a line
			return &ReadError{d.line, d.lines.Err()}
		}
		if err != nil {
			return fmt.Errorf("line %d: not a record: %s", d.line, problem(err))
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

// problem is what json-iterator says, without the excerpts of the line that it
// adds: a line may be anything, and long. Of a time, it is what Time says.
func problem(err error) string {
	const most = 200
	text, _, _ := strings.Cut(err.Error(), ", error found in #")
	if _, time, ok := strings.Cut(text, "textUnmarshalerDecoder: "); ok {
		text = time
	}
	quoted := strings.Trim(strconv.QuoteToGraphic(text[:min(len(text), most)]), `"`)
	return strings.ReplaceAll(quoted, `\"`, `"`)
}

// Line is the number of the line that Decode read last, counted from 1.
func (d *Decoder) Line() int { return d.line }

// RawName gives what belongs into the name_b64 field beside a name: its bytes
// where the name is not UTF-8 and the text field would lose some, else nil.
func RawName(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

// Name undoes RawName: the raw bytes win over the text.
func Name(text string, raw []byte) string {
	if len(raw) > 0 {
		return string(raw)
	}
	return text
}
