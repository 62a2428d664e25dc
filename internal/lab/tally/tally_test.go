package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The fixtures are what go test -json of Go 1.26 printed, without the times.
func TestTally(t *testing.T) {
	const strictMessage = "test: skipped tests are errors with CI=true\n"
	for fixture, want := range map[string]struct {
		out                string
		code, strictCode   int
		wantsStrictMessage bool
	}{
		"skip": {"ok  \texample/good\t0.003s\n" +
			"5 passed, 5 skipped (2: no tcpdump here, 1: needs root, 1: no network namespaces here: operation not permitted, 1: no reason given)\n", 0, 1, true},
		"fail": {"    bad_test.go:8: what came before\n    bad_test.go:9: 3 packets, wanted 4\n--- FAIL: TestFails (0.00s)\n" +
			"    bad_test.go:14: cut at 5\n--- FAIL: TestParts/cut (0.00s)\n--- FAIL: TestParts (0.00s)\n" +
			"FAIL\texample/bad\t0.004s\n2 passed, 0 skipped\n", 1, 1, false},
		"exit": {"FAIL\texample/exits\t0.003s\n--- UNFINISHED: TestExits\n    p_test.go:6: about to\ngoing\n0 passed, 0 skipped\n", 1, 1, false},
		"build-failure": {"# example/broken [example/broken.test]\nbroken/b_test.go:5:33: undefined: undefined\n" +
			"FAIL\texample/broken [build failed]\n0 passed, 0 skipped\n", 1, 1, false},
		"vet-failure": {"# example/vetted\n# [example/vetted]\nvetted/b_test.go:5:42: fmt.Printf format %d has arg \"x\" of wrong type string\n" +
			"FAIL\texample/vetted [build failed]\n0 passed, 0 skipped\n", 1, 1, false},
		"main-failure": {"go build: no space left\nFAIL\texample/main\t0.002s\n0 passed, 0 skipped\n", 1, 1, false},
		"no-tests":     {"0 passed, 0 skipped\n", 0, 0, false},
	} {
		t.Run(fixture, func(t *testing.T) {
			for _, strict := range []bool{false, true} {
				out, messages, code := tallyOf(t, fixture, strict)
				wantCode, wantMessages := want.code, ""
				if strict {
					wantCode = want.strictCode
				}
				if strict && want.wantsStrictMessage {
					wantMessages = strictMessage
				}
				if out != want.out || code != wantCode || messages != wantMessages {
					t.Errorf("strict %v: exit %d, wanted %d\n%s%swanted:\n%s%s", strict, code, wantCode, out, messages, want.out, wantMessages)
				}
			}
		})
	}
}

// The stack of a panic is printed, and what other tests said is not.
func TestTallyOfPanic(t *testing.T) {
	out, _, code := tallyOf(t, "panic", false)
	for _, part := range []string{
		"about to\n--- FAIL: TestPanics", "panic: assignment to entry in nil map", "panics/p_test.go:10", "FAIL\texample/panics", "\n1 passed, 0 skipped\n",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing", part)
		}
	}
	if code != 1 || strings.Contains(out, "not of interest") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

// What go test prints that is no event is passed on, such as an error in go.mod.
func TestTallyPassesOnOtherLines(t *testing.T) {
	var out strings.Builder
	var counts tally
	if err := counts.read(strings.NewReader("go: errors parsing go.mod\n{\"Action\":\"start\"}\nno end of line"), &out); err != nil {
		t.Fatal(err)
	}
	if want := "go: errors parsing go.mod\nno end of line"; out.String() != want {
		t.Errorf("%q, wanted %q", out.String(), want)
	}
}

// tallyOf returns what a fixture leads to.
func tallyOf(t *testing.T, fixture string, strict bool) (out, messages string, code int) {
	t.Helper()
	events, err := os.Open(filepath.Join("testdata", fixture+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	var stdout, stderr strings.Builder
	var counts tally
	if err := counts.read(events, &stdout); err != nil {
		t.Fatal(err)
	}
	code = counts.conclude(&stdout, &stderr, strict)
	return stdout.String(), stderr.String(), code
}
