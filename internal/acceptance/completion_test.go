package acceptance

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"pcap-replay/internal/lab"
)

var update = flag.Bool("update", false, "write the completions and the picture of the demo anew")

const completions = "../../scripts/completions"

// completedFlag is what a completion knows about a flag.
type completedFlag struct {
	long, short string // with their dashes; short may be empty
	repeats     bool
	text        string
	fallback    string // the default that --help tells, without quotes
	kind        string // of the value, as the usage calls it: FILE; empty without one
	words       []string
}

func (f completedFlag) names() []string {
	if f.short == "" {
		return []string{f.long}
	}
	return []string{f.short, f.long}
}

// The flags in the completions are those of the tools.
func TestCompletions(t *testing.T) {
	for file, lines := range map[string]func(*testing.T) string{
		"pcap-replay.bash": bashFlags, "_pcap-replay": zshFlags, "pcap-replay.fish": fishFlags,
	} {
		path := filepath.Join(completions, file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		made := regexp.MustCompile(`(?ms)^( *# made by: .*?\n).*^( *# made until here)$`)
		if !made.Match(text) {
			t.Fatalf("%s: no place for the flags", path)
		}
		want := made.ReplaceAllStringFunc(string(text), func(place string) string {
			ends := made.FindStringSubmatch(place)
			return ends[1] + lines(t) + ends[2]
		})
		if want == string(text) {
			continue
		}
		if !*update {
			t.Errorf("%s differs from the flags of the tools: go test ./internal/acceptance -run TestCompletions -update", path)
		} else if err := os.WriteFile(path, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func bashFlags(t *testing.T) string {
	var b strings.Builder
	for _, tool := range lab.Tools {
		var words []string
		for _, f := range completedFlags(t, tool) {
			for _, name := range f.names() {
				switch {
				case f.words != nil:
					name += "=" + strings.Join(f.words, ",")
				case f.kind != "":
					name += "=" + f.kind
				}
				words = append(words, name)
			}
		}
		fmt.Fprintf(&b, "    %s)\n      echo %s ;;\n", tool, strings.Join(words, " "))
	}
	return b.String()
}

// quoted is a word for zsh and fish.
func quoted(text, escapes string) string {
	return "'" + strings.ReplaceAll(text, "'", escapes) + "'"
}

func zshFlags(t *testing.T) string {
	var b strings.Builder
	text := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`)
	for _, tool := range lab.Tools {
		fmt.Fprintf(&b, "    %s)\n      flags=(\n", tool)
		for _, f := range completedFlags(t, tool) {
			value := ""
			if f.kind != "" {
				value = ":" + f.kind + ":" + zshAction(f)
			}
			exclusive := "(" + strings.Join(f.names(), " ") + ")"
			if f.repeats {
				exclusive = "*"
			} else if f.short == "" {
				exclusive = ""
			}
			for _, name := range f.names() {
				if value != "" && name == f.long {
					name += "=" // also as the next word
				}
				fmt.Fprintf(&b, "        %s\n", quoted(exclusive+name+"["+text.Replace(f.text)+"]"+value, `'\''`))
			}
		}
		b.WriteString("      )\n      ;;\n")
	}
	return b.String()
}

func zshAction(f completedFlag) string {
	switch {
	case f.words != nil:
		return "(" + strings.Join(f.words, " ") + ")"
	case f.kind == "INTERFACE":
		return "_pcap-replay-interfaces"
	case f.kind == "FILE":
		return "_files"
	case f.kind == "FOLDER" || f.kind == "DIR":
		return "_directories"
	}
	return ""
}

func fishFlags(t *testing.T) string {
	var b strings.Builder
	for _, tool := range lab.Tools {
		var valued []string
		for _, f := range completedFlags(t, tool) {
			fmt.Fprintf(&b, "complete -c %s", tool)
			if f.short != "" {
				fmt.Fprintf(&b, " -s %s", f.short[1:])
			}
			fmt.Fprintf(&b, " -l %s%s -d %s\n", f.long[2:], fishValue(f), quoted(f.text, `\'`))
			if f.kind != "" {
				valued = append(valued, f.names()...)
			}
		}
		if tool == "pcap-tarcat" {
			flags := strings.Join(valued, " ")
			fmt.Fprintf(&b, "complete -c %s -n '__pcap_replay_archive %s' -f -a '(__pcap_replay_members %s)'\n", tool, flags, flags)
		}
	}
	return b.String()
}

func fishValue(f completedFlag) string {
	switch {
	case f.kind == "":
		return ""
	case f.words != nil:
		return " -x -a " + quoted(strings.Join(f.words, " "), "")
	case f.kind == "INTERFACE":
		return " -x -a '(__pcap_replay_interfaces)'"
	case f.kind == "FILE":
		return " -r -F"
	case f.kind == "FOLDER" || f.kind == "DIR":
		return " -x -a '(__fish_complete_directories)'"
	}
	return " -x"
}

// TestShellsComplete types beginnings of command lines into the shells. What the last
// word becomes is told by functions that stand in for the tools.
func TestShellsComplete(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"out/delta.pcap", "alpha/one.pcap", "alpha/two.pcap", "be ta/x(1).pcap", "gamma.pcap"} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, lab.Pcap(lab.Packets(1, lab.Start, 0, 60), binary.LittleEndian, true), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	tar := exec.Command("tar", "-cf", "my set.tar", "alpha", "be ta", "gamma.pcap")
	tar.Dir = folder
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "silent.tar"), 0o666); err != nil {
		t.Fatal(err)
	}
	device, start := someInterface(t)

	lines := []struct{ typed, want string }{
		{`pcap-map --sv`, "--svg"},
		{`pcap-inject --oversize=se`, "--oversize=segment"},
		{`pcap-inject --oversize se`, "segment"},
		{`pcap-merge -z zs`, "zstd"},
		{`pcap-inject -i ` + start, device},
		{`pcap-inject --interface=` + start, "--interface=" + device},
		{`pcap-pace --speed 2 gam`, "gamma.pcap"},
		{`pcap-map out/d`, "out/delta.pcap"},
		{`pcap-merge --select gam`, "gamma.pcap"},
		{`pcap-tarls --match=x my`, "my set.tar"},
		{`pcap-tarcat my`, "my set.tar"},
		{`pcap-tarcat my\ set.tar alpha/o`, "alpha/one.pcap"},
		{`pcap-tarcat 'my set.tar' alpha/o`, "alpha/one.pcap"},
		{`pcap-tarcat ./my\ set.tar be\ ta/x`, `be ta/x\(1\).pcap`},
		{`pcap-tarcat ./my\ set.tar "be ta/x`, `be ta/x\(1\).pcap`},
		{`pcap-tarcat -C out --max-bytes 1G my\ set.tar alpha/o`, "alpha/one.pcap"},
		{`pcap-tarcat my\ set.tar gamma.pcap alpha/t`, "alpha/two.pcap"},
		{`pcap-tarcat silent.tar nothing`, "nothing"},
	}
	for shell, complete := range map[string]func(t *testing.T, folder string, typed []string) []string{
		"bash": completeInBash, "zsh": completeInZsh, "fish": completeInFish,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("no %s", shell)
			}
			t.Parallel()
			var typed []string
			for _, line := range lines {
				typed = append(typed, line.typed)
			}
			got := complete(t, folder, typed)
			if len(got) != len(lines) {
				t.Fatalf("%d lines were completed, wanted %d: %q", len(got), len(lines), got)
			}
			for i, line := range lines {
				if got[i] != line.want {
					t.Errorf("%q: the last word became %q, wanted %q", line.typed, got[i], line.want)
				}
			}
		})
	}
}

// someInterface returns the name of an interface and a beginning of it that no other has.
func someInterface(t *testing.T) (name, start string) {
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) == 0 {
		t.Fatalf("interfaces: %v, %v", interfaces, err)
	}
	name = interfaces[0].Name
	for end := 1; end < len(name); end++ {
		if !slices.ContainsFunc(interfaces[1:], func(other net.Interface) bool { return strings.HasPrefix(other.Name, name[:end]) }) {
			return name, name[:end]
		}
	}
	return name, name
}

// standIns has functions in place of the tools write their last argument into a file.
func standIns(file string) string {
	var b strings.Builder
	for _, tool := range lab.Tools {
		fmt.Fprintf(&b, "%s() { printf '%%s\\n' \"${@: -1}\" >> %s; }\n", tool, file)
	}
	return b.String()
}

func shellCommand(t *testing.T, folder string, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "HOME="+t.TempDir(), "TERM=dumb", "COMPLETIONS="+completionsFolder(t))
	return command
}

func completionsFolder(t *testing.T) string {
	folder, err := filepath.Abs(completions)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func readLines(t *testing.T, path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func completeInBash(t *testing.T, folder string, typed []string) []string {
	got := filepath.Join(t.TempDir(), "got")
	start := filepath.Join(t.TempDir(), "start")
	if err := os.WriteFile(start, []byte(". \"$COMPLETIONS/pcap-replay.bash\"\n"+standIns(got)), 0o666); err != nil {
		t.Fatal(err)
	}
	command := shellCommand(t, folder, "bash", "--noprofile", "--rcfile", start, "-i")
	command.Stdin = strings.NewReader(strings.Join(typed, "\t\n") + "\t\nexit\n")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return readLines(t, got)
}

func completeInZsh(t *testing.T, folder string, typed []string) []string {
	got := filepath.Join(t.TempDir(), "got")
	start := filepath.Join(t.TempDir(), "start")
	if err := os.WriteFile(start, []byte("fpath=($COMPLETIONS $fpath)\nautoload -U compinit\ncompinit -u -D\n"+standIns(got)), 0o666); err != nil {
		t.Fatal(err)
	}
	command := shellCommand(t, folder, "zsh", "-f", "-i")
	terminal, err := pty.Start(command) // without a terminal it completes nothing
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if _, err := terminal.WriteString(". " + start + "\n" + strings.Join(typed, "\t\n") + "\t\nexit\n"); err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(terminal) // ends with EIO
	if err := command.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return readLines(t, got)
}

// completeInFish asks for the candidates. Without one, the last word stays as it is.
func completeInFish(t *testing.T, folder string, typed []string) (got []string) {
	command := shellCommand(t, folder, "fish", "-c", `
		source $COMPLETIONS/pcap-replay.fish
		for line in $argv
			set -l found (complete -C $line | string replace -r '\t.*' '')
			set -q found[1]; or set found (string split ' ' -- $line)[-1]
			printf '%s\n' "$found"
		end`)
	command.Args = append(command.Args, typed...)
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}
