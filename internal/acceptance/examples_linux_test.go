package acceptance

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// example is what a page displays for the reader to type.
type example struct {
	line int // of the page
	text string
}

// name is for the test's.
func (e example) name() string {
	first, _, _ := strings.Cut(e.text, "\n")
	return fmt.Sprintf("%d %s", e.line, first)
}

// noShell is how displays begin that are records, messages and manifests.
var noShell = regexp.MustCompile(`^(\{|[\w-]+: )`)

// examplesOf finds the displays of a page.
func examplesOf(t *testing.T, page string) (examples []example) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	block := []string(nil)
	for at, line := range strings.Split(string(text), "\n") {
		display, isLine := strings.CutPrefix(line, ".Dl ")
		switch {
		case isLine:
			examples = append(examples, example{at + 1, escapes.Replace(display)})
		case strings.HasPrefix(line, ".Bd -literal"):
			block = []string{}
		case line == ".Ed" && block != nil:
			shown := example{at + 1 - len(block), strings.Join(block, "\n")}
			if !noShell.MatchString(shown.text) {
				examples = append(examples, shown)
			}
			examples = append(examples, scriptsIn(shown)...)
			block = nil
		case block != nil:
			block = append(block, escapes.Replace(line))
		}
	}
	return examples
}

// examplesOfReadme finds the commands of sections of README.md, which are indented. An empty
// line ends an example.
func examplesOfReadme(t *testing.T, sections ...string) (examples []example) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	inside, block := false, []string(nil)
	for at, line := range strings.Split(string(text), "\n") {
		command, indented := strings.CutPrefix(line, "    ")
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			inside = slices.Contains(sections, heading)
		}
		if inside && indented {
			block = append(block, command)
		} else if block != nil {
			examples = append(examples, example{at + 1 - len(block), strings.Join(block, "\n")})
			block = nil
		}
	}
	return examples
}

// scriptsIn finds the shell in a manifest: lines after "- |" that are indented
// more.
func scriptsIn(manifest example) (scripts []example) {
	lines := strings.Split(manifest.text, "\n")
	for at := 0; at < len(lines); at++ {
		if !strings.HasSuffix(lines[at], "- |") {
			continue
		}
		margin, begin := strings.Index(lines[at], "-")+1, at+1
		for at+1 < len(lines) && strings.HasPrefix(lines[at+1], strings.Repeat(" ", margin)) {
			at++
		}
		scripts = append(scripts, example{manifest.line + begin, strings.Join(lines[begin:at+1], "\n")})
	}
	return scripts
}

// readExamples reads those of every page.
func readExamples(t *testing.T) (examples map[string][]example) {
	t.Helper()
	pages, err := filepath.Glob("../../man/*.[157]")
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages", err)
	}
	examples = map[string][]example{}
	for _, page := range pages {
		examples[page] = examplesOf(t, page)
		if len(examples[page]) == 0 {
			t.Errorf("%s has no examples", page)
		}
	}
	return examples
}

// overstruck matches a character that mandoc prints twice, or the line below it.
var overstruck = regexp.MustCompile(`.\x08`)

// A terminal of 80 columns does not break the lines of a page.
func TestPagesFitTheTerminal(t *testing.T) {
	lab.NeedProgram(t, "mandoc")
	for page := range readExamples(t) {
		text, err := exec.Command("mandoc", "-T", "ascii", page).Output()
		if err != nil {
			t.Fatal(page, err)
		}
		for line := range strings.Lines(overstruck.ReplaceAllString(string(text), "")) {
			if line = strings.TrimRight(line, "\n"); len(line) > 80 {
				t.Errorf("%s: a line has %d columns: %s", page, len(line), line)
			}
		}
	}
}

// What a page shows can be typed. A macro does away with quotes at the edge of a
// word, sees macros and punctuation in words, and breaks lines.
func TestExamplesAreShownAsTheyAre(t *testing.T) {
	lab.NeedProgram(t, "mandoc")
	for page, examples := range readExamples(t) {
		shown, err := exec.Command("mandoc", "-T", "utf8", page).Output()
		if err != nil {
			t.Fatal(err)
		}
		shown = overstruck.ReplaceAll(shown, nil)
		for _, e := range examples {
			for line := range strings.Lines(e.text) {
				if !bytes.Contains(shown, []byte(strings.TrimSpace(line)+"\n")) {
					t.Errorf("%s:%d: %s is not shown as it is: .Bd -literal leaves quotes and long lines alone", page, e.line, line)
				}
			}
		}
	}
}

// adaptation makes an example fit the scratch folder.
type adaptation struct{ from, to string }

// notHere are examples that hold a word and cannot run here, with the reason. Their
// syntax is checked.
var notHere = []struct{ word, reason string }{
	{"aws s3", "there is no object storage"},
	{"sbatch", "there is no cluster"},
	{"parallel -X -S", "parallel is on no other host"},
	{"scaling_governor", "it changes the machine, and a virtual one has none"},
	{"/proc/irq", "it changes the machine"},
	{"systemctl", "it changes the machine"},
	{"ethtool -C", "a veth does not interrupt"},
	{"setcap", "it changes the machine"},
	{"suricata", "it is large: TestSensorsReadOurStreams runs it where it is there"},
	{"zeek", "it is large: TestSensorsReadOurStreams runs it where it is there"},
}

// mayBeMissing are programs of examples that a machine need not have.
var mayBeMissing = []string{
	"tcpdump", "tshark", "editcap", "mergecap", "capinfos", "tcprewrite", "tcpreplay", "jq", "zstd", "lz4", "pv", "parallel", "ethtool", "ip", "nc", "socat",
}

// exampleLimit is how long one may run.
const exampleLimit = 20 * time.Second

// Every example in the manuals and in the README runs as it is typed there. Those of "Look
// first" in the README are in TestReadmeShowsTheDemo. Its others install or build something, or
// need the network.
func TestExamplesRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("examples send frames as root")
	}
	lab.NeedProgram(t, "bash", "taskset")
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	for _, name := range []string{"veth0", "veth2", "eth1", "eth2"} {
		lab.MakePair(t, name, name+"-peer")
	}
	linkShims(t, linkTools(t))
	all := readExamples(t)
	if all["README.md"] = examplesOfReadme(t, "The pipeline", "Proof", "Coming from GopherCap"); len(all["README.md"]) < 10 {
		t.Errorf("README.md has only %d examples", len(all["README.md"]))
	}
	store := t.TempDir()
	files := makeStore(t, store)
	seen := ""
	longestFirst := func(a, b string) int { return len(all[b]) - len(all[a]) }
	for _, page := range slices.SortedFunc(maps.Keys(all), longestFirst) {
		for _, e := range all[page] {
			seen += e.text + "\n"
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			makeExampleFiles(t, folder, store, files)
			for _, e := range all[page] {
				t.Run(e.name(), func(t *testing.T) { runExample(t, e, folder, store) })
			}
		})
	}
	for _, exception := range notHere {
		if !strings.Contains(seen, exception.word) {
			t.Errorf("no example has %q: it need not be listed", exception.word)
		}
	}
	for _, a := range adaptations(store) {
		if !strings.Contains(seen, a.from) {
			t.Errorf("no example has %q: it need not be adapted", a.from)
		}
	}
}

// adaptations are the fewest that let examples run: where the store of captures is, times
// that are long for a test, and what its captures lack.
func adaptations(store string) []adaptation {
	return []adaptation{
		{"/data/", store + "/"},
		{"--fit 10m", "--fit 300ms"},
		{"+10 seconds", "+3 seconds"},
		{"taskset -c 2,3", "taskset -c 0"},
		{"mon0", "eth1-peer"},
		{"vxlan://sensor", "vxlan://127.0.0.1"},
		{"tcp port 80 or tcp port 443", "udp"},
		{"select(.packets > 100)", "select(.packets > 10)"},
	}
}

// runExample runs one, or only checks it where it cannot run here.
func runExample(t *testing.T, e example, folder, store string) {
	text := e.text
	for _, a := range adaptations(store) {
		text = strings.ReplaceAll(text, a.from, a.to)
	}
	for _, exception := range notHere {
		if strings.Contains(text, exception.word) {
			t.Logf("only the syntax is checked: %s", exception.reason)
			expectBash(t, folder, "-n", "-c", text)
			return
		}
	}
	for _, program := range mayBeMissing {
		if regexp.MustCompile(`\b` + program + `\b`).MatchString(text) {
			lab.NeedProgram(t, program)
		}
	}
	if strings.Contains(text, "flow.filter") {
		lab.NeedProgram(t, "jq") // another example makes it with jq
	}
	expectBash(t, folder, "-e", "-o", "pipefail", "-c", text)
}

// expectBash runs a shell that is to succeed without an error of any tool.
func expectBash(t *testing.T, folder string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), exampleLimit)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.Dir = folder
	command.Env = append(os.Environ(), "SLURM_ARRAY_TASK_ID=0", "JOB_COMPLETION_INDEX=0",
		"START="+record.Time(time.Now().Add(2*time.Second).UnixNano()).String(), "FIRST="+record.Time(lab.Start).String())
	output, err := command.CombinedOutput()
	late := bytes.Contains(output, []byte(": too late\n")) // so the machine is busy
	if !late && (err != nil || bytes.Contains(output, []byte(": error: "))) {
		t.Errorf("%q: %v\n%s", arguments, err, output)
	}
}

// linkShims puts stand-ins beside the tools: the tests are root already, and every
// host is this one.
func linkShims(t *testing.T, folder string) {
	t.Helper()
	for name, script := range map[string]string{
		"sudo": `exec "$@"`,
		"ssh":  `shift; exec sh -c "$*"`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script+"\n"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
}

// makeStore makes a store of captures and gives their paths.
func makeStore(t *testing.T, store string) (files []string) {
	t.Helper()
	set := lab.WorkerSet{Workers: 4, Packets: 400, Duration: 100 * time.Millisecond, FileSize: 20 << 10, Seed: 4}
	if err := os.Mkdir(store+"/pcaps", 0o777); err != nil {
		t.Fatal(err)
	}
	files, err := set.Write(store + "/pcaps")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// mirrored puts frames into tunnels, as switches do that mirror traffic: VXLAN (RFC 7348) and
// ERSPAN type II (draft-foschiano-erspan), in turn.
func mirrored(packets []stream.Packet) []stream.Packet {
	for i := range packets {
		protocol, headers := byte(17), []byte{0xc0, 1, 4789 >> 8, 4789 & 0xff, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0}
		if i%2 == 1 {
			protocol, headers = 47, []byte{0x10, 0, 0x88, 0xbe, 0, 0, 0, byte(i), 0x10, 1, 0, 1, 0, 0, 0, 0}
		}
		length := 20 + len(headers) + len(packets[i].Data)
		if protocol == 17 {
			binary.BigEndian.PutUint16(headers[4:], uint16(length-20))
		}
		outer := []byte{2, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 3, 8, 0, 0x45, 0, byte(length >> 8), byte(length), 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
		packets[i].Data = slices.Concat(outer, headers, packets[i].Data)
		packets[i].WireLength = uint32(len(packets[i].Data))
	}
	return packets
}

// makeExampleFiles makes what examples name in a folder.
func makeExampleFiles(t *testing.T, folder, store string, files []string) {
	t.Helper()
	for i, name := range []string{"a.pcap", "b.pcap", "big.pcap", "set.pcap"} {
		lab.WriteCapture(t, filepath.Join(folder, name), lab.Packets(100, lab.Start+int64(i)*int64(10*time.Millisecond), time.Millisecond, 200))
	}
	lab.WriteCapture(t, filepath.Join(folder, "mirror.pcap"), mirrored(lab.Packets(100, lab.Start, time.Millisecond, 200)))
	// Members are worker0/worker0-0000.pcap and so on.
	expectBash(t, folder, "-e", "-c", `
		for file in `+strings.Join(files, " ")+`
		do
			name=${file##*/}
			mkdir -p members/${name%%-*}
			cp -p $file members/${name%%-*} # a link would change the file for the tar of another page
		done
		cd members
		tar -czf ../set.tar.gz *
		rm -r ../members
		cd ..
		cp set.pcap sent.pcap
		cp set.pcap arrived.pcap
		pcap-map `+store+`/pcaps > map.ndjson`)
	makeEvents(t, folder)
	for _, where := range []string{"file", "wire"} {
		writeSensorLogs(t, filepath.Join(folder, where), alertsOf("1"), connectionsOf("1"))
	}
}
