package cli

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pcap-replay/internal/lab"
)

func tools() []*Tool { return []*Tool{TarLs(), TarCat(), Map(), Merge(), Pace(), Inject()} }

func TestMain(m *testing.M) {
	commands := map[string]func(){}
	for _, tool := range tools() {
		commands[tool.Name] = func() { Main(tool) }
	}
	testscript.Main(m, commands)
}

// TestScripts runs testdata/script: each tool as a user calls it. The name of a
// script begins with the tool's.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
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

// run runs a tool in this process.
func run(tool *Tool, in []byte, args ...string) (code int, out, messages string) {
	var stdout, stderr bytes.Buffer
	code = Run(tool, args, Streams{bytes.NewReader(in), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

func TestEveryToolHasManners(t *testing.T) {
	for _, tool := range tools() {
		t.Run(tool.Name, func(t *testing.T) {
			code, out, messages := run(tool, nil, "--no-such-flag")
			want := fmt.Sprintf("%s: error: unknown flag %q\n%s: hint: --help lists the flags\n", tool.Name, "--no-such-flag", tool.Name)
			if code != exitUsage || out != "" || messages != want {
				t.Errorf("unknown flag: exit %d, stdout %q, stderr %q", code, out, messages)
			}
			code, out, messages = run(tool, nil, "a", "--quiet")
			if code != exitUsage || out != "" || !bytes.Contains([]byte(messages), []byte(`flag "--quiet" after an operand`)) {
				t.Errorf("flag after an operand: exit %d, stdout %q, stderr %q", code, out, messages)
			}
			code, out, _ = run(tool, nil, "--version")
			if code != exitDone || out != tool.Name+" "+Version()+"\n" {
				t.Errorf("--version: exit %d, stdout %q", code, out)
			}
			code, out, _ = run(tool, nil, "--help")
			if code != exitDone || !bytes.Contains([]byte(out), []byte(tool.Usage)) {
				t.Errorf("--help: exit %d, stdout %q", code, out)
			}
		})
	}
}
