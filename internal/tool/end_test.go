package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
)

// scenario is a random run of TestEndsOfRuns. Its times are multiples of 10 ms, and signals
// come between them.
type scenario struct {
	steps    []time.Duration // after each of them, it writes
	isDeaf   bool            // it does not see that the run is to end, as a read does not
	isStuck  bool            // it never returns
	result   error
	keeps    bool
	drains   bool
	obstacle bool // the second output cannot get its name
	signals  []time.Duration
}

var errFake = errors.New("failed on purpose")

func newScenario(random *rand.Rand) (s scenario) {
	for range random.IntN(6) {
		s.steps = append(s.steps, time.Duration(random.IntN(150))*10*time.Millisecond)
	}
	chance := func(of int) bool { return random.IntN(of) == 0 }
	s.isDeaf, s.isStuck, s.keeps, s.drains, s.obstacle = chance(2), chance(4), chance(3), chance(4), chance(8)
	s.result = []error{nil, nil, nil, errFake, WithExitCode(errFake, ExitLate)}[random.IntN(5)]
	for range random.IntN(3) {
		s.signals = append(s.signals, time.Duration(random.IntN(200))*10*time.Millisecond+5*time.Millisecond)
	}
	if s.isStuck && (len(s.signals) == 0 || s.drains && len(s.signals) < 2) {
		s.isStuck = false // it would never end
	}
	return s
}

// fakeRun is the result of a scenario.
type fakeRun struct {
	scenario
	code        int
	returned    time.Duration // of the function; 0 where it is stuck
	ended       time.Duration
	lastMoved   time.Duration
	written     string
	summary     record.Summary
	first, last string // the content of the outputs
	temporary   []string
}

// play runs the scenario in a bubble of synctest.
func (s scenario) play(t *testing.T, folder string) *fakeRun {
	f := &fakeRun{scenario: s}
	names := []string{filepath.Join(folder, "first"), filepath.Join(folder, "last")}
	for _, name := range names {
		if err := os.WriteFile(name, []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	released := make(chan struct{})
	began := time.Now()
	tool := &Tool{Name: "pcap-fake", Flags: []cli.Flag{OutputFlag()}}
	tool.Run = func(r *Run) error {
		defer func() { f.returned = time.Since(began) }()
		if s.keeps {
			r.KeepOutputs()
		}
		if s.drains {
			r.Drain()
		}
		var outputs []*files.Output
		for _, name := range names {
			out, err := r.CreateOutput("-o", name)
			if err != nil {
				return err
			}
			outputs = append(outputs, out)
		}
		if s.obstacle {
			_ = errors.Join(os.Remove(names[1]), os.Mkdir(names[1], 0o777))
		}
		for _, pause := range s.steps {
			if s.isDeaf {
				time.Sleep(pause)
			} else {
				select {
				case <-time.After(pause):
				case <-r.Context.Done():
					if s.keeps {
						return s.result
					}
					return r.Context.Err()
				}
			}
			for _, out := range outputs {
				if _, err := io.WriteString(out, "data"); err != nil {
					return err
				}
			}
			f.written += "data"
			f.lastMoved = time.Since(began)
		}
		if s.isStuck {
			<-released
		}
		return s.result
	}
	var report bytes.Buffer
	r := newRun(tool, Streams{In: strings.NewReader(""), Out: &report, Err: io.Discard})
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	r.Context = ctx
	var signals sync.Mutex // one goroutine gets all signals
	for _, moment := range s.signals {
		time.AfterFunc(moment, func() { // as stop does
			signals.Lock()
			defer signals.Unlock()
			if ctx.Err() == nil {
				cancel(signalError{syscall.SIGTERM})
			} else {
				r.hurry()
			}
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- r.start([]string{"-q", "--report", "-", "-o", names[0]}) }()
	f.code = r.end(r.wait(ended))
	f.ended = time.Since(began)
	text := report.String()
	first := func() string { data, _ := os.ReadFile(names[0]); return string(data) }
	f.first = first()
	time.Sleep(20 * time.Second) // a run that was given up may write on
	close(released)
	synctest.Wait()
	if report.String() != text || first() != f.first {
		t.Error("the run goes on behind its end")
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &f.summary); err != nil {
		t.Errorf("the report is %q: %v", text, err)
	}
	data, _ := os.ReadFile(names[1])
	f.last = string(data)
	f.temporary, _ = filepath.Glob(filepath.Join(folder, ".*"))
	return f
}

// The outputs, the exit code and the report of a run agree, whenever signals come, whatever
// the tool then does, and whether or not the file system accepts the outputs.
func TestEndsOfRuns(t *testing.T) {
	for seed := range uint64(1500) {
		s := newScenario(rand.New(rand.NewPCG(seed, 1)))
		var f *fakeRun
		folder := t.TempDir()
		synctest.Test(t, func(t *testing.T) { f = s.play(t, folder) })
		for _, problem := range f.problems() {
			t.Errorf("seed %d: %s: %+v", seed, problem, f)
		}
	}
}

// problems returns the differences from the end of a run that the package comment describes.
func (f *fakeRun) problems() (problems []string) {
	want := func(ok bool, what string) {
		if !ok {
			problems = append(problems, what)
		}
	}
	stopped := len(f.signals) > 0 && minimum(f.signals) <= f.ended
	complete := []bool{}
	for _, out := range f.summary.Outputs {
		complete = append(complete, out.Complete)
		want(out.Bytes == int64(len(f.written)) || !out.Complete, "bytes of a complete output")
	}
	want(len(complete) == 2, "two outputs")
	want(f.summary.Exit == f.code, "the exit code in the report")
	want(len(f.temporary) == 0, "temporary files")
	if len(complete) < 2 {
		return problems
	}
	want(complete[0] == (f.first == f.written && f.first != "old"), "the first output is there if it is complete")
	want(complete[0] || f.first == "old", "the old file stays")
	want(f.obstacle || complete[1] == complete[0], "all outputs or none")
	want(f.obstacle || complete[1] == (f.last == f.written && f.last != "old"), "the last output is there if it is complete")
	want(!f.obstacle || !complete[1], "an output that cannot have its name")
	want(f.code == 128+int(syscall.SIGTERM) == stopped, "the exit code is that of the signal")
	isWhole := f.result == nil || errors.As(f.result, new(*exitError))
	want(!complete[0] || isWhole && (!stopped || f.keeps), "complete only where everything is written")
	want(stopped || complete[0] == isWhole, "complete without a signal")
	switch {
	case stopped:
	case f.obstacle && isWhole:
		want(f.code == ExitFailed, "exit 1 for an output that cannot have its name")
	case f.result == nil:
		want(f.code == ExitDone, "exit 0")
	case isWhole:
		want(f.code == ExitLate, "an exit code of its own")
	default:
		want(f.code == ExitFailed, "exit 1")
	}
	if stopped && !f.drains {
		latest := max(minimum(f.signals), f.lastMoved) + grace + settlingTime + 100*time.Millisecond
		want(f.ended <= latest, "it ends a second after the last byte")
	}
	if len(f.signals) == 2 && stopped {
		want(f.ended <= max(f.signals[0], f.signals[1])+settlingTime || f.ended <= f.returned, "the second signal ends it")
	}
	return problems
}

func minimum(moments []time.Duration) time.Duration {
	least := moments[0]
	for _, moment := range moments[1:] {
		least = min(least, moment)
	}
	return least
}
