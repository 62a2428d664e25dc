// Package tooltest runs tools in tests: by testscript as a user calls them, and in this
// process between faulty readers and writers.
package tooltest

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pcap-replay/internal/lab"
)

// Main is the TestMain of a tool. In scripts and in PATH, the name of the tool is this test
// binary, so that the coverage counts its code. The other tools are built, for the other
// parts of a pipeline.
func Main(m *testing.M, name string, main func()) {
	if filepath.Base(os.Args[0]) == name {
		testscript.Main(m, map[string]func(){name: main})
		return
	}
	lab.UnignoreHangup()
	folder, err := os.MkdirTemp("", "pcap-tools-*")
	if err == nil {
		err = lab.BuildTools(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	testscript.Main(cleaning{m, folder}, map[string]func(){name: main})
}

// cleaning removes the tools after the tests.
type cleaning struct {
	testscript.TestingM
	folder string
}

func (c cleaning) Run() int {
	defer os.RemoveAll(c.folder)
	return c.TestingM.Run()
}

// Scripts runs testdata/script: the tool as a user calls it.
func Scripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			return os.WriteFile(filepath.Join(env.WorkDir, "await"), []byte(await), 0o666)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"capture": makeCapture,
			"cut":     cutFile,
			"exits":   expectExit,
			"sh":      runShell,
		},
		Condition: func(name string) (bool, error) {
			_, err := exec.LookPath(name) // [jq]: the program is there
			return err == nil, nil
		},
	})
}

// await is a function of bash for scripts: . ./await. With it, a test waits for an event and
// not for a time in which it should happen.
const await = `# await COMMAND waits until the command succeeds; after a minute it ends the script.
await() {
  for _ in {1..600}; do "$@" > /dev/null 2>&1 && return; sleep 0.1; done
  echo "still fails after a minute: $*" >&2
  kill $!
  exit 1
}
`

// makeCapture: capture FILE COUNT GAP [START-OFFSET [LENGTH [us]]] makes packets
// numbered from 0, GAP apart, from 2020-09-13T12:26:40Z + START-OFFSET on.
func makeCapture(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: capture FILE COUNT GAP [START-OFFSET [LENGTH [us]]]")
	}
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	gap, err := time.ParseDuration(args[2])
	ts.Check(err)
	offset, length := time.Duration(0), 100
	if len(args) > 3 {
		offset, err = time.ParseDuration(args[3])
		ts.Check(err)
	}
	if len(args) > 4 {
		length, err = strconv.Atoi(args[4])
		ts.Check(err)
	}
	packets := lab.Packets(count, lab.Start+int64(offset), gap, length)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), lab.Pcap(packets, binary.LittleEndian, len(args) < 6), 0o666))
}

// cutFile: cut FILE SIZE OUT keeps the first SIZE bytes; a negative SIZE counts
// from the end.
func cutFile(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: cut FILE SIZE OUT")
	}
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	if size < 0 {
		size += len(data)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), data[:size], 0o666))
}

// expectExit: exits CODE COMMAND... runs a command, and its stdout and stderr
// can be matched as after exec.
func expectExit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT ...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%v: exit code %d, wanted %s", args[1:], code, args[0])
	}
}

// runShell: sh 'PIPELINE' runs a shell pipeline; "! sh" expects a failure.
func runShell(ts *testscript.TestScript, negated bool, args []string) {
	err := ts.Exec("sh", append([]string{"-c"}, args...)...)
	if (err != nil) != negated {
		ts.Fatalf("sh %q: %v", args, err)
	}
}
