package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/lab"
)

// roundsVariable is how many rounds TestRandomEnds makes instead of defaultRounds.
const (
	roundsVariable = "PCAP_END_ROUNDS"
	defaultRounds  = 48
)

// ending is a tool in a pipeline of the shell, whose exit code is that of the tool. TOOL
// stands for the tool and the flags of its report, CAPTURES, SECTIONS and TAR for inputs,
// and SLOWLY for a command that gives the input in pieces.
type ending struct {
	pipeline string
	capture  string   // has as many packets as the summary says; "" where that is not counted
	losses   []string // as in signalCase
}

var paceLosses = []string{"out_of_range", "interrupted"}
var injectLosses = []string{"filtered", "read_ahead"}

// endings have the six tools first, last and in the middle of a pipeline, with an output
// file, with stdout, and with what is compressed.
var endings = []ending{
	{"TOOL pcap-tarls -o out TAR", "", nil},
	{"TOOL pcap-tarls --index TAR", "", nil},
	{"SLOWLY TAR | TOOL pcap-tarls -o out", "", nil},
	{"TOOL pcap-tarcat -o out TAR", "", nil},
	{"SLOWLY TAR | TOOL pcap-tarcat -o out", "", nil},
	{"SLOWLY TAR | TOOL pcap-tarcat -C folder -", "", nil},
	{"TOOL pcap-tarcat -C folder -z gzip TAR", "", nil},
	{"TOOL pcap-map -o out --svg picture CAPTURES", "", nil},
	{"SLOWLY SECTIONS | TOOL pcap-map --svg picture -o out", "", nil},
	{"TOOL pcap-merge -o out CAPTURES", "out", mergeLosses},
	{"TOOL pcap-merge -z zstd -o out CAPTURES", "out", mergeLosses},
	{"TOOL pcap-merge --loop 3 CAPTURES > stdout", "stdout", mergeLosses},
	{"SLOWLY SECTIONS | TOOL pcap-merge --memory 1MiB -z lz4 > stdout", "stdout", mergeLosses},
	{"SLOWLY TAR | TOOL pcap-merge -o out", "out", mergeLosses},
	{"pcap-tarcat TAR | TOOL pcap-merge -o out", "out", mergeLosses},
	{"TOOL pcap-merge --dedup --shard 1/3 -z gzip -o out CAPTURES", "out", mergeLosses},
	{"TOOL pcap-merge CAPTURES | pcap-pace --asap > /dev/null", "", mergeLosses},
	{"pcap-merge CAPTURES | TOOL pcap-pace --fit 200ms --span 1s -o out", "out", paceLosses},
	{"TOOL pcap-pace --fit 200ms SECTIONS > stdout", "stdout", paceLosses},
	{"SLOWLY SECTIONS | TOOL pcap-pace --asap -z gzip -o out", "out", paceLosses},
	{"pcap-merge CAPTURES | TOOL pcap-pace --asap | pcap-inject -q --asap -w /dev/null", "", paceLosses},
	{"TOOL pcap-inject -q --delay 20ms -w out SHORT", "out", injectLosses},
	{"pcap-merge CAPTURES | TOOL pcap-inject -q --asap -w out", "out", injectLosses},
	{"SLOWLY SECTIONS | TOOL pcap-inject -q --asap -w out", "out", injectLosses},
}

// TestRandomEnds ends runs by signals at random moments, also twice, by the end of an input
// afterwards and by a full disk. Whatever happens, the report and the files agree.
func TestRandomEnds(t *testing.T) {
	linkTools(t)
	makeSignalSet(t)
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	rounds := defaultRounds
	if text := os.Getenv(roundsVariable); text != "" {
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	const atATime = 4
	var next sync.Mutex
	round, counts := 0, map[string]int{}
	var workers sync.WaitGroup
	for range atATime {
		workers.Go(func() {
			for {
				next.Lock()
				number := round
				round++
				next.Unlock()
				if number >= rounds || t.Failed() {
					return
				}
				r := newRound(root, number)
				outcome := r.run(t)
				os.RemoveAll(r.folder)
				next.Lock()
				counts[outcome]++
				next.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%d rounds: %v", rounds, counts)
}

// randomRound is one run of TestRandomEnds. Its number says all about it.
type randomRound struct {
	ending
	number  int
	folder  string
	command string
	signals []syscall.Signal
	pauses  []time.Duration // before each signal
	toAll   bool            // the signals go to the whole pipeline, as Ctrl-C does
	hasOld  bool            // there is a file of the name of the output
	limited bool            // files cannot grow beyond a limit
}

func newRound(root string, number int) *randomRound {
	random := rand.New(rand.NewPCG(uint64(number), 19))
	r := &randomRound{ending: endings[number%len(endings)], number: number, folder: filepath.Join(root, fmt.Sprintf("round-%d", number))}
	r.hasOld, r.toAll, r.limited = random.IntN(2) == 0, random.IntN(3) == 0, random.IntN(8) == 0
	for range []int{0, 1, 1, 1, 1, 2, 2}[random.IntN(7)] {
		all := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR2, syscall.SIGALRM}
		r.signals = append(r.signals, all[random.IntN(len(all))])
		r.pauses = append(r.pauses, time.Duration(random.Int64N(int64(600*time.Millisecond))))
	}
	slow := fmt.Sprintf("slowly() { head -c %d \"$1\"; sleep 0.%d; tail -c +%d \"$1\"; }; ", 1+random.IntN(2<<20), random.IntN(10), 1+random.IntN(2<<20))
	if random.IntN(2) == 0 { // the input ends in the middle
		slow = fmt.Sprintf("slowly() { head -c %d \"$1\"; sleep 0.%d; }; ", 1+random.IntN(4<<20), random.IntN(10))
	}
	limit := ""
	if r.limited {
		limit = fmt.Sprintf("ulimit -f %d; ", random.IntN(3000))
	}
	r.command = strings.NewReplacer(
		"TOOL ", "run ", "SLOWLY ", "slowly ", "CAPTURES", "../captures", "SECTIONS", "../sections", "SHORT", "../short.pcap", "TAR", "set.tar.gz",
	).Replace(r.pipeline)
	// The tool tells its process and its exit code by files.
	r.command = slow + `run() { ( ` + limit + `echo $BASHPID > pid; name=$1; shift; exec "$name" --report report "$@" ); echo $? > code; }; ` + r.command
	return r
}

// run makes the round and says how it ended.
func (r *randomRound) run(t *testing.T) (outcome string) {
	tmp := filepath.Join(r.folder, "tmp")
	if err := os.MkdirAll(tmp, 0o777); err != nil {
		t.Error(err)
		return ""
	}
	if err := os.Link(filepath.Join(filepath.Dir(r.folder), "set.tar.gz"), filepath.Join(r.folder, "set.tar.gz")); err != nil {
		t.Error(err)
		return ""
	}
	if r.hasOld {
		for _, name := range []string{"out", "picture", "set.tar.gz.tarx"} {
			os.WriteFile(filepath.Join(r.folder, name), []byte("old"), 0o666)
		}
	}
	command := exec.Command("bash", "-c", r.command)
	command.Dir = r.folder
	command.Env = append(os.Environ(), "TMPDIR="+tmp)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var messages bytes.Buffer
	command.Stderr = &messages
	command.WaitDelay = 2 * time.Minute // the tool may take longer than the shell: hangs ends it before
	if err := command.Start(); err != nil {
		t.Error(err)
		return ""
	}
	for i, signal := range r.signals {
		time.Sleep(r.pauses[i])
		r.send(signal, command.Process.Pid)
	}
	hangs := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	_ = command.Wait()
	if !hangs.Stop() {
		t.Errorf("round %d hangs: %s", r.number, r.command)
	}
	code := -1
	wait := 10 * time.Second
	if r.toAll { // the shell may be gone, too
		wait = 100 * time.Millisecond
	}
	for deadline := time.Now().Add(wait); code < 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(r.folder, "code"))
		if number, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			code = number
		}
	}
	if problems := r.check(code, messages.String()); len(problems) > 0 {
		t.Errorf("round %d, exit %d, signals %v after %v: %s\n%s\n%s", r.number, code, r.signals, r.pauses, r.command, strings.Join(problems, "\n"), messages.String())
	}
	return "exit " + strconv.Itoa(code)
}

// send sends a signal to the tool, or to all of its pipeline.
func (r *randomRound) send(signal syscall.Signal, group int) {
	text, _ := os.ReadFile(filepath.Join(r.folder, "pid"))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if r.toAll {
		_ = syscall.Kill(-group, signal)
	} else if err == nil {
		_ = syscall.Kill(pid, signal)
	}
}

// check says what is wrong with what the round has left.
func (r *randomRound) check(code int, messages string) (problems []string) {
	say := func(format string, values ...any) { problems = append(problems, fmt.Sprintf(format, values...)) }
	report, err := os.ReadFile(filepath.Join(r.folder, "report"))
	if errors.Is(err, fs.ErrNotExist) && strings.Contains(messages, "SIGQUIT: quit") {
		return nil // the signal came before the tool caught it: the Go runtime ended it
	}
	if r.toAll && strings.Contains(messages, "SIGQUIT: quit") { // so it ended another tool
		messages, _, _ = strings.Cut(messages, "SIGQUIT: quit")
	}
	for _, word := range []string{"DATA RACE", "goroutine ", "panic:"} {
		if strings.Contains(messages, word) {
			say("stderr has %q", word)
		}
	}
	for _, path := range hiddenFiles(r.folder) {
		say("leaves %s", path)
	}
	if left, _ := os.ReadDir(filepath.Join(r.folder, "tmp")); len(left) > 0 {
		say("leaves tmp/%s", left[0].Name())
	}
	if err != nil || r.limited && code == exitFailed && strings.Contains(messages, "report: ") {
		if code == exitDone {
			say("no report: %v", err)
		}
		return problems // a signal came before the tool caught it, or the report does not fit
	}
	lines := bytes.Split(bytes.TrimSpace(report), []byte("\n"))
	var summary map[string]any
	last := lines[len(lines)-1]
	if err := json.Unmarshal(last, &summary); err != nil || summary["event"] != "summary" {
		if wasKilled := code > 128 && len(r.signals) > 0 && len(report) == 0; !wasKilled {
			say("the report ends with %q", last)
		}
		return problems
	}
	if exit := int(summary["exit"].(float64)); code >= 0 && exit != code {
		say("exit %d, in the report %d", code, exit)
	}
	r.checkOutputs(summary, say)
	r.checkPackets(summary, say)
	return problems
}

// checkOutputs compares what the summary says of outputs with the files.
func (r *randomRound) checkOutputs(summary map[string]any, say func(string, ...any)) {
	complete := map[string]bool{}
	outputs, _ := summary["outputs"].([]any)
	for _, output := range outputs {
		o := output.(map[string]any)
		path, size := o["path"].(string), int64(o["bytes"].(float64))
		if path == "-" {
			path = "stdout"
		}
		info, err := os.Stat(filepath.Join(r.folder, path))
		complete[path] = o["complete"].(bool)
		if (complete[path] || path == "stdout") && err == nil && info.Size() != size {
			say("%s has %d bytes, in the report %d", path, info.Size(), size)
		}
		if complete[path] && err != nil && path != "stdout" {
			say("%s: complete, but %v", path, err)
		}
	}
	for _, path := range []string{"out", "picture", "set.tar.gz.tarx"} {
		content, err := os.ReadFile(filepath.Join(r.folder, path))
		switch old := string(content) == "old"; {
		case complete[path] && old:
			say("%s: complete, but the old file is there", path)
		case !complete[path] && !r.hasOld && !errors.Is(err, fs.ErrNotExist):
			say("%s: is there, with %d bytes, and is not complete", path, len(content))
		case !complete[path] && r.hasOld && !old:
			say("%s: the old file is gone: %d bytes, %v", path, len(content), err)
		}
	}
	if taken, ok := summary["taken"].(float64); ok && strings.Contains(r.pipeline, " -C ") {
		files := 0
		_ = filepath.WalkDir(filepath.Join(r.folder, "folder"), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				files++
			}
			return nil
		})
		if files != int(taken) {
			say("%d files are extracted, in the report %v", files, taken)
		}
	}
}

// checkPackets wants a summary that adds up, and as many packets as it says.
func (r *randomRound) checkPackets(summary map[string]any, say func(string, ...any)) {
	if r.losses == nil || summary["packets_in"] == nil {
		return
	}
	number := func(name string) int { value, _ := summary[name].(float64); return int(value) }
	rest := number("packets_in") - number("packets_out")
	for _, name := range r.losses {
		rest -= number(name)
	}
	if rest != 0 {
		say("%d packets are not accounted for: %v", rest, summary)
	}
	data, err := os.ReadFile(filepath.Join(r.folder, r.capture))
	if r.capture == "" || err != nil || string(data) == "old" {
		return
	}
	if got := lab.CountPackets(data); got != number("packets_out") {
		say("%s has %d packets, in the report %d", r.capture, got, number("packets_out"))
	}
}
