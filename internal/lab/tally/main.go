// Command tally runs go test on all packages and counts what passed and, by reason, what
// was skipped:
//
//	tally [FLAG...]
//
// The flags are those of go test. Only what failed is printed in full. With CI=true a
// skipped test is an error.
package main

import (
	"fmt"
	"os"
	"os/exec"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "test: error: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// run returns the exit code: 1 when a test failed, or was skipped with CI=true.
func run(flags []string) (code int, err error) {
	tests := exec.Command("go", append(append([]string{"test", "-json"}, flags...), "./...")...)
	tests.Stderr = os.Stderr
	events, err := tests.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := tests.Start(); err != nil {
		return 1, err
	}
	var t tally
	if err := t.read(events, os.Stdout); err != nil {
		return 1, err
	}
	err = tests.Wait()
	if tests.ProcessState == nil {
		return 1, err
	}
	t.failed = t.failed || !tests.ProcessState.Success()
	return t.conclude(os.Stdout, os.Stderr, os.Getenv("CI") == "true"), nil
}
