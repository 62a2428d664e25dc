package acceptance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// messageCalls are the functions whose texts a user may read.
var messageCalls = []string{
	"Errorf", "Warnf", "Infof", "Say", "UsageErrorf", "WithHint", "New", "Skip", "Sprintf", "indexErrorf", "refuse",
}

// message is a text of the tools that a user may read.
type message struct{ place, text string }

// messagesOf finds the texts in calls of a file, and the reasons of damage.
func messagesOf(t *testing.T, path string) (messages []message) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(node ast.Node) {
		ast.Inspect(node, func(inner ast.Node) bool {
			literal, ok := inner.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(text, " ") {
				messages = append(messages, message{files.Position(literal.Pos()).String(), text})
			}
			return true
		})
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CallExpr:
			name := ""
			switch function := node.Fun.(type) {
			case *ast.SelectorExpr:
				name = function.Sel.Name
			case *ast.Ident:
				name = function.Name
			}
			if slices.Contains(messageCalls, name) {
				for _, argument := range node.Args {
					add(argument)
				}
				return false
			}
		case *ast.KeyValueExpr:
			if key, ok := node.Key.(*ast.Ident); ok && slices.Contains([]string{"Reason", "reason", "hint"}, key.Name) {
				add(node.Value)
			}
		case *ast.ReturnStmt: // Error and Hint, and what they are made of
			for _, result := range node.Results {
				if literal, ok := result.(*ast.BasicLit); ok {
					add(literal)
				}
			}
		}
		return true
	})
	return messages
}

// Messages begin in lower case and have no full stop, since what names the tool and the
// object precedes them. With -v, the test prints all of them for proofreading.
func TestMessages(t *testing.T) {
	badStyle := regexp.MustCompile(`^[A-Z][a-z]+ |[^.]\.$|!$`)
	found := 0
	for _, folder := range []string{"../../cmd", "../../internal", "../../stream"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && slices.Contains([]string{"lab", "acceptance", "tooltest"}, entry.Name()) {
				return fs.SkipDir
			}
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, m := range messagesOf(t, path) {
				found++
				t.Logf("%s: %q", strings.TrimPrefix(m.place, "../../"), m.text)
				if badStyle.MatchString(m.text) {
					t.Errorf("%s: %q: messages begin in lower case and end without a full stop", m.place, m.text)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 400 {
		t.Errorf("%d messages found: the test looks in the wrong place", found)
	}
}
