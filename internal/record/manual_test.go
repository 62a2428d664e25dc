package record_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pcap-replay/internal/record"
)

// explainedRecords are the types that the sections of pcap-records(5) describe.
var explainedRecords = map[string]reflect.Type{
	"Captures":                      reflect.TypeFor[record.Capture](),
	"Damaged places":                reflect.TypeFor[record.Damage](),
	"Unknown blocks":                reflect.TypeFor[record.UnknownBlocks](),
	"Comparisons":                   reflect.TypeFor[record.Comparison](),
	"Sides of a comparison":         reflect.TypeFor[record.Compared](),
	"Altered fields":                reflect.TypeFor[record.AlteredFields](),
	"Framing":                       reflect.TypeFor[record.Framing](),
	"Time errors":                   reflect.TypeFor[record.TimeError](),
	"Bursts":                        reflect.TypeFor[record.BurstRatio](),
	"missing or extra":              reflect.TypeFor[record.Unmatched](),
	"Members":                       reflect.TypeFor[record.Member](),
	"damaged":                       reflect.TypeFor[record.Damaged](),
	"failed":                        reflect.TypeFor[record.Failed](),
	"skipped":                       reflect.TypeFor[record.Skipped](),
	"outdated":                      reflect.TypeFor[record.Outdated](),
	"underrun":                      reflect.TypeFor[record.Underrun](),
	"progress":                      reflect.TypeFor[record.Progress](),
	"Summaries":                     reflect.TypeFor[record.Summary](),
	"Outputs":                       reflect.TypeFor[record.Output](),
	"The summary of pcap-tarls":     reflect.TypeFor[record.TarlsSummary](),
	"The summary of pcap-tarcat":    reflect.TypeFor[record.TarcatSummary](),
	"The summary of pcap-map":       reflect.TypeFor[record.MapSummary](),
	"The summary of pcap-merge":     reflect.TypeFor[record.MergeSummary](),
	"The summary of pcap-pace":      reflect.TypeFor[record.PaceSummary](),
	"The summary of pcap-inject":    reflect.TypeFor[record.InjectSummary](),
	"Interfaces of a split":         reflect.TypeFor[record.InterfaceSummary](),
	"Packets that were not sent":    reflect.TypeFor[record.NotSent](),
	"Packets taken out of tunnels":  reflect.TypeFor[record.Decapsulation](),
	"Packets that stay in tunnels":  reflect.TypeFor[record.StillInTunnel](),
	"Packets that were changed":     reflect.TypeFor[record.Rewritten](),
	"Packets that were not changed": reflect.TypeFor[record.NotRewritten](),
	"Lateness":                      reflect.TypeFor[record.Lateness](),
	"Counters of the device":        reflect.TypeFor[record.Device](),
	"Events":                        reflect.TypeFor[eventRecord](),
}

// escapes of mdoc(7) in examples, and the characters that they print.
var escapes = strings.NewReplacer(`\-`, `-`, `\e`, `\`, `\(aq`, `'`, `\(dq`, `"`, `\(bs`, `\`, `\&`, ``)

// eventRecord has the fields of all events, which their own sections leave out.
type eventRecord struct {
	Event string `json:"event"`
	Tool  string `json:"tool"`
}

// explainedField is a field in the page, such as
//
//	.It Ic size Pq integer, bytes, such as 1000
type explainedField struct {
	typ, example, text string
}

// explainedFields returns the fields of each section.
func explainedFields(t *testing.T) map[string]map[string]explainedField {
	t.Helper()
	page, err := os.ReadFile("../../man/pcap-records.5")
	if err != nil {
		t.Fatal(err)
	}
	item := regexp.MustCompile(`^\.It Ic (\w+) Pq (.+?)(?:, such as (.+))?$`)
	sections, section, name := map[string]map[string]explainedField{}, "", ""
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSuffix(line, "\n")
		if heading, ok := strings.CutPrefix(line, ".Ss "); ok {
			section, name = heading, ""
			sections[section] = map[string]explainedField{}
		} else if parts := item.FindStringSubmatch(line); parts != nil && section != "" {
			name = parts[1]
			if _, twice := sections[section][name]; twice {
				t.Errorf("%s: %s stands there twice", section, name)
			}
			sections[section][name] = explainedField{typ: parts[2], example: escapes.Replace(parts[3])}
		} else if strings.HasPrefix(line, ".It ") && section != "" {
			t.Errorf("%s: %s names no field and type", section, line)
		} else if name != "" {
			field := sections[section][name]
			field.text += line + "\n"
			sections[section][name] = field
		}
	}
	return sections
}

// recordFields returns the fields of a record by name, including those of embedded records.
func recordFields(record reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	for i := range record.NumField() {
		field := record.Field(i)
		if field.Anonymous {
			maps.Copy(fields, recordFields(field.Type))
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[name] = field
	}
	return fields
}

// typeName is the name of a field's type in the page.
func typeName(field reflect.Type) string {
	switch {
	case field == reflect.TypeFor[record.Time]():
		return "time"
	case field == reflect.TypeFor[[]byte]():
		return "base64"
	case field.Kind() == reflect.Pointer:
		return typeName(field.Elem())
	case field.Kind() == reflect.Slice:
		return "array of " + typeName(field.Elem())
	case field.Kind() == reflect.Struct:
		return "object"
	case field.Kind() == reflect.Float64:
		return "number"
	case field.Kind() == reflect.String:
		return "string"
	case field.Kind() == reflect.Bool:
		return "boolean"
	}
	return "integer"
}

// pcap-records(5) agrees with the records: fields, types, examples, and what may be absent
// or null.
func TestThePageExplainsTheRecords(t *testing.T) {
	explained := explainedFields(t)
	for section, record := range explainedRecords {
		fields := recordFields(record)
		if section != "Events" {
			for name := range recordFields(explainedRecords["Events"]) {
				delete(fields, name)
			}
		}
		if section != "Summaries" && strings.Contains(strings.ToLower(section), "summary") {
			for name := range recordFields(explainedRecords["Summaries"]) {
				delete(fields, name)
			}
		}
		for name, field := range fields {
			said, ok := explained[section][name]
			if !ok {
				t.Errorf("%s: %s is not explained", section, name)
				continue
			}
			checkField(t, section+": "+name, field, said)
		}
		for name := range explained[section] {
			if _, ok := fields[name]; !ok {
				t.Errorf("%s: %s is explained, but there is none", section, name)
			}
		}
	}
	for section := range explained {
		if explainedRecords[section] == nil {
			t.Errorf("%s: no record belongs to this section", section)
		}
	}
}

// checkField compares a field with its description.
func checkField(t *testing.T, name string, field reflect.StructField, said explainedField) {
	t.Helper()
	if typ := typeName(field.Type); said.typ != typ && !strings.HasPrefix(said.typ, typ+", ") {
		t.Errorf("%s is said to be %s, and is %s", name, said.typ, typ)
	}
	if _, other, ok := strings.Cut(said.typ, ", see "); ok {
		inner := field.Type
		for inner.Kind() != reflect.Struct {
			inner = inner.Elem()
		}
		if explainedRecords[other] != inner {
			t.Errorf("%s is explained in %s, which is of another record", name, other)
		}
	} else if err := json.Unmarshal([]byte(said.example), reflect.New(field.Type).Interface()); err != nil {
		t.Errorf("%s: the example %s: %v", name, said.example, err)
	}
	mayBeAbsent := strings.Contains(field.Tag.Get("json"), ",omitempty")
	if mayBeAbsent != strings.Contains(said.text, "Absent ") {
		t.Errorf("%s: absent at times: %v, not as the page says", name, mayBeAbsent)
	}
	mayBeNull := field.Type.Kind() == reflect.Pointer && !mayBeAbsent
	if mayBeNull != strings.Contains(said.text, "Null ") {
		t.Errorf("%s: null at times: %v, not as the page says", name, mayBeNull)
	}
}

// The page describes every record.
func TestAllRecordsAreExplained(t *testing.T) {
	// Records are read into a type that has the fields of several, and a field that users add.
	// InputEvent is a part of events.
	known := []string{"selectionRecord", "ShiftedCapture", "InputEvent"}
	for _, record := range explainedRecords {
		known = append(known, record.Name())
	}
	found := 0
	for _, folder := range []string{".", "../input"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(node ast.Node) bool {
				declared, ok := node.(*ast.TypeSpec)
				if !ok || !hasJSON(declared) {
					return true
				}
				found++
				if !slices.Contains(known, declared.Name.Name) {
					t.Errorf("%s: pcap-records(5) does not explain %s", name, declared.Name.Name)
				}
				return true
			})
		}
	}
	if wanted := len(explainedRecords); found < wanted { // eventRecord is only in the test, and selectionRecord is not described
		t.Errorf("%d records found, wanted %d", found, wanted)
	}
}

// hasJSON reports whether a type has fields with JSON names.
func hasJSON(declared *ast.TypeSpec) bool {
	record, ok := declared.Type.(*ast.StructType)
	return ok && slices.ContainsFunc(record.Fields.List, func(field *ast.Field) bool {
		return field.Tag != nil && strings.Contains(field.Tag.Value, `json:"`)
	})
}
