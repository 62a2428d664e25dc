package cli

import (
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress is the one line that a tool draws on stderr. Its zero value draws
// nothing.
type progress struct {
	enabled bool
	job     *job
	done    atomic.Int64

	mutex sync.Mutex
	bar   *progressbar.ProgressBar
	stop  chan struct{}
}

// newProgress decides whether to draw: with auto only where stderr is a terminal
// and stdout is no pipe, so that one tool of a pipeline draws, the last.
func newProgress(j *job, mode string) *progress {
	enabled := mode == "always" || mode == "auto" && !j.quiet && isTerminal(j.Err) && !isPipe(j.Out)
	return &progress{enabled: enabled, job: j}
}

// start draws from now on, twice a second: bytes of total (-1: unknown), and
// what describe says, if it is not nil.
func (p *progress) start(total int64, describe func() string) {
	if !p.enabled {
		return
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(p.job.Err),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(20),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetDescription(p.job.tool.Name),
	}
	if total < 0 {
		options = append(options, progressbar.OptionSpinnerType(14))
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.bar = progressbar.NewOptions64(total, options...)
	p.stop = make(chan struct{})
	go p.draw(p.bar, p.stop, describe)
}

func (p *progress) draw(bar *progressbar.ProgressBar, stop chan struct{}, describe func() string) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if describe != nil {
			bar.Describe(describe())
		}
		p.mutex.Lock()
		_ = bar.Set64(p.done.Load()) // a total that the input outgrew is no failure
		p.mutex.Unlock()
	}
}

// add counts bytes read. It may be called at any time from any goroutine.
func (p *progress) add(bytes int64) { p.done.Add(bytes) }

// clear takes the line away for a message.
func (p *progress) clear() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// finish takes the line away for good.
func (p *progress) finish() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.bar == nil {
		return
	}
	close(p.stop)
	_ = p.bar.Clear()
	p.bar = nil
}

// isPipe says whether a stream is a pipe or a socket: there is a next tool.
func isPipe(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0
}
