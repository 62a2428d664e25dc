package acceptance

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
)

// An output that is an input, another output or stdout is refused before anything is
// written, under whatever name.
func TestOutputsAreNoInputs(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "original", lab.Packets(100, lab.Start, time.Millisecond, 100))
	const restore = `rm -rf x.pcap hard.pcap link.pcap set.tar set.tar.tarx folder map records member filter && cp original x.pcap &&
		ln x.pcap hard.pcap && ln -s x.pcap link.pcap && tar -cf set.tar x.pcap && cp set.tar set.tar.tarx &&
		mkdir folder && cp x.pcap folder && ln -s ../x.pcap folder/link && pcap-map x.pcap > map && echo ip > filter &&
		pcap-tarls -q set.tar > member 2> /dev/null`
	for _, command := range []string{
		"pcap-map --report x.pcap x.pcap", "pcap-map --report ./x.pcap x.pcap", "pcap-map --report hard.pcap x.pcap",
		"pcap-map --report link.pcap x.pcap", "pcap-map --report x.pcap link.pcap", "pcap-map --report x.pcap < x.pcap",
		"pcap-map -o x.pcap x.pcap", "pcap-map --svg x.pcap x.pcap", "pcap-map --report x.pcap folder/link", "pcap-map --report x.pcap folder",
		"pcap-map --report folder/x.pcap folder", "pcap-map -o folder/x.pcap folder", "pcap-map --svg folder/x.pcap folder",
		"pcap-map --report map --from-records map --chart", "pcap-map --report same --svg same x.pcap", "pcap-map -o same --svg ./same x.pcap",
		"pcap-map -o same --report $PWD/same x.pcap", "pcap-map --report same x.pcap > same", "pcap-map --report /dev/stdout x.pcap > same",
		"pcap-map --report /dev/fd/1 x.pcap | cat", "pcap-map -o same x.pcap > same", "pcap-map --report 1 x.pcap > same", "pcap-map --report - x.pcap > same",
		"pcap-map --report 2 x.pcap > same 2>&1",
		"pcap-map --report 9 x.pcap", "pcap-map --report 3 x.pcap", "pcap-map --report 4 x.pcap", "pcap-map --report 7 x.pcap 7< map", "pcap-map --report -1 x.pcap",
		"pcap-map --report 0 x.pcap < map",
		"pcap-merge --report x.pcap x.pcap", "pcap-merge -o x.pcap original x.pcap", "pcap-merge --report x.pcap --select map",
		"pcap-merge -o x.pcap --select map", "pcap-merge --report x.pcap --select - < map", "pcap-merge -o set.tar --select member", "pcap-merge --report map --select map",
		"pcap-merge --report filter --filter-file filter x.pcap", "pcap-merge -o folder/x.pcap folder", "pcap-merge --report folder/x.pcap --follow folder --idle 1s",
		"pcap-merge -o folder/x.pcap --follow folder --idle 1s", "pcap-merge --report set.tar set.tar", "pcap-merge --report x.pcap -o x.pcap original",
		"pcap-merge x.pcap --report 1", "pcap-merge --report - x.pcap | cat",
		"pcap-tarcat --report set.tar set.tar", "pcap-tarcat -o set.tar set.tar", "pcap-tarcat -C set.tar set.tar", "pcap-tarcat --report set.tar --select member",
		"pcap-tarcat --report member --select member", "pcap-tarcat -o set.tar < set.tar", "pcap-tarcat --report 1 set.tar",
		"pcap-tarls --report set.tar set.tar", "pcap-tarls -o set.tar set.tar", "pcap-tarls --index -o set.tar.tarx set.tar",
		"pcap-tarls --index --report set.tar.tarx set.tar", "pcap-tarls --index set.tar set.tar.tarx", "pcap-tarls --report - set.tar",
		"pcap-pace --asap --report x.pcap x.pcap", "pcap-pace --asap -o x.pcap x.pcap", "pcap-pace --asap -o folder/x.pcap folder",
		"pcap-pace --asap --fit 1s --select map --report map x.pcap", "pcap-pace --asap --report 1 x.pcap",
		"pcap-inject --asap -w x.pcap x.pcap", "pcap-inject --asap -w out --report x.pcap x.pcap", "pcap-inject --asap -w out --report out x.pcap",
		"pcap-inject --asap -w folder/x.pcap folder", "pcap-inject --asap -w - --report - x.pcap", "pcap-inject --asap -w - --report 1 x.pcap | cat",
	} {
		t.Run(command, func(t *testing.T) {
			shell(t, restore)
			before := contents(t)
			var messages bytes.Buffer
			run := exec.Command("bash", "-o", "pipefail", "-c", command)
			run.Stderr = &messages
			_ = run.Run()
			if code := run.ProcessState.ExitCode(); code != exitUsage {
				t.Errorf("exit %d, wanted %d: %s", code, exitUsage, messages.String())
			}
			os.Remove("same") // the shell has made it
			if after := contents(t); !maps.Equal(after, before) {
				t.Errorf("%d files before, %d afterwards, or others: %s", len(before), len(after), messages.String())
			}
		})
	}
}

// contents are the files of the current folder.
func contents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// No member replaces the tarball that it is in, nor the report of the run.
func TestMembersReplaceNoFileOfTheRun(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "a.pcap", lab.Packets(100, lab.Start, time.Millisecond, 100))
	shell(t, "cp a.pcap set.tar && cp a.pcap report && tar -cf all.tar a.pcap set.tar report && mv all.tar set.tar && rm a.pcap report && cp set.tar before")
	code, _, messages := run("pcap-tarcat", nil, "--report", "report", "-C", ".", "set.tar", ".")
	for _, words := range []string{"set.tar: set.tar: would replace the tarball\n", "set.tar: report: would replace the file of --report report\n"} {
		if !strings.Contains(messages, words) {
			t.Errorf("wanted %q: %s", words, messages)
		}
	}
	s := lab.SummaryOf[struct {
		Members, Taken int
	}](t, "report")
	if code != exitDamaged || s.Members != 3 || s.Taken != 1 {
		t.Errorf("exit %d, %+v", code, s)
	}
	shell(t, "cmp set.tar before && pcap-map a.pcap")
}

// A run would wait for itself at a named pipe that is its input and its output.
func TestNamedPipesAreInputsOrOutputs(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "x.pcap", lab.Packets(100, lab.Start, time.Millisecond, 100))
	shell(t, "mkfifo fifo && ln -s fifo link")
	for _, command := range []string{
		"pcap-merge -o fifo fifo", "pcap-merge -o fifo link", "pcap-merge -o fifo --select fifo", "pcap-merge -o fifo --filter-file fifo x.pcap", "pcap-merge -o /dev/fd/0 <> fifo",
		"pcap-map -o fifo fifo", "pcap-map --report fifo fifo", "pcap-map --report fifo --against fifo x.pcap", "pcap-map --svg fifo fifo", "pcap-map -o fifo --report fifo x.pcap",
		"pcap-pace --asap -o fifo fifo", "pcap-inject --asap -w fifo fifo", "pcap-tarcat -o fifo fifo", "pcap-tarls -o fifo fifo", "pcap-tarls --report fifo fifo",
	} {
		output, err := exec.Command("timeout", "-k", "1", "10", "bash", "-c", command).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
			t.Errorf("%s: %v, wanted exit %d: %s", command, err, exitUsage, output)
		}
	}
}

// What is not a file of its own may be an output, an input and a report at the same time.
func TestDevicesMayBeOutputsAndInputs(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	lab.WriteCapture(t, "x.pcap", lab.Packets(100, lab.Start, time.Millisecond, 100))
	shell(t, "tar -cf set.tar x.pcap")
	for _, command := range []string{
		"pcap-merge -o /dev/null --report /dev/null x.pcap > /dev/null", "pcap-map --report - -o out x.pcap | grep -q summary",
		"pcap-inject -q --asap -w out --report 1 x.pcap | grep -q summary", "pcap-map --report 3 x.pcap 3> report && grep -q summary report",
		"pcap-map --report 2 x.pcap 2> report && grep -q summary report", "pcap-tarcat -C out.d --report - set.tar | grep -q summary",
		"echo before > report; pcap-map --report 3 x.pcap 3>> report; grep -q before report && grep -q summary report",
		"echo before > report; pcap-map --report report x.pcap; ! grep -q before report && grep -q summary report",
		"mkfifo fifo; cat fifo > got & pcap-map --report fifo x.pcap; wait; grep -q summary got",
		"cat fifo > got & pcap-merge -o fifo x.pcap; wait; cmp got x.pcap", "cat fifo > got & pcap-map -o fifo x.pcap; wait; grep -q x.pcap got",
		"cat fifo > got & pcap-map --svg fifo x.pcap; wait; grep -q '</svg>' got", "cat fifo > got & pcap-inject -q --asap -w fifo x.pcap; wait; test -s got",
		"cd . && pcap-map -o out x.pcap && pcap-map -o out x.pcap", "pcap-merge -o /dev/stdout x.pcap | cmp - x.pcap",
		"pcap-pace -q --asap -o /dev/null --report /dev/stdout x.pcap | grep -q summary",
	} {
		if output, err := exec.Command("bash", "-o", "pipefail", "-c", command).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", command, err, output)
		}
		os.Remove("out")
	}
}
