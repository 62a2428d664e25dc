package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/record"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// mapped is what became of one capture.
type mapped struct {
	input
	capture record.Capture
	rate    *survey.Rate // nil unless a picture is drawn
	err     error        // why there is no record
}

// name fills in what the survey does not know.
func (r *mapped) name(size int64) {
	c := &r.capture
	c.Path, c.PathRaw = r.path, record.RawName(r.path)
	c.Archive, c.ArchiveRaw = r.archive, record.RawName(r.archive)
	c.Size = size
}

// lookAhead is how many inputs for each job may be begun before their turn comes.
// It bounds the records that wait for it.
const lookAhead = 8

// surveyTask is an input and what becomes of it: a tarball has many results.
type surveyTask struct {
	input
	results chan *mapped
}

// surveyAll surveys the inputs, several at the same time, and puts what becomes
// of them in their order.
func (m *mapRun) surveyAll(inputs []input) error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	waiting := make(chan surveyTask)
	begun := make(chan surveyTask, lookAhead*m.jobs)
	for range m.jobs {
		go func() {
			reader := stream.NewReader(nil)
			defer reader.Close()
			for task := range waiting {
				(&surveyor{m, ctx, task, reader}).survey()
			}
		}()
	}
	go func() {
		defer close(waiting)
		defer close(begun)
		for _, in := range inputs {
			task := surveyTask{in, make(chan *mapped, 1)}
			for _, queue := range []chan surveyTask{waiting, begun} {
				select {
				case queue <- task:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	for task := range begun {
		if err := m.putAll(task.results); err != nil {
			return err
		}
	}
	return m.ctx.Err()
}

// putAll waits for the results of one input, but not for an input that never comes
// when the run is to end.
func (m *mapRun) putAll(results <-chan *mapped) error {
	for {
		select {
		case <-m.ctx.Done():
			return m.ctx.Err()
		case result, ok := <-results:
			if !ok {
				return nil
			}
			if err := m.put(result); err != nil {
				return err
			}
		}
	}
}

// surveyor surveys one input.
type surveyor struct {
	*mapRun
	ctx  context.Context // ends when nobody wants the results any more
	task surveyTask
	// reader is used for one capture after another.
	reader *stream.Reader
}

func (s *surveyor) survey() {
	defer close(s.task.results)
	if err := s.surveyInput(); err != nil {
		_ = s.give(&mapped{input: s.task.input, err: err})
	}
}

// give hands a result on. Its error says that nobody wants another one.
func (s *surveyor) give(result *mapped) error {
	select {
	case s.task.results <- result:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *surveyor) surveyInput() error {
	file, err := s.openInput(s.task.path)
	if err != nil {
		return err
	}
	defer file.Close()
	src := &archiveSource{ctx: s.ctx, file: file, progress: s.progress}
	info, err := os.Stat(s.task.path)
	if s.task.path == "-" || err != nil || !info.Mode().IsRegular() {
		return s.surveyStream(src)
	}
	result, err := s.surveyFile(src, file, info.Size())
	if errors.Is(err, stream.ErrNotCapture) && isArchiveFile(s.task.path) {
		return s.walkArchive(s.task.path, s.surveyMember)
	}
	if err != nil {
		return err
	}
	return s.give(result)
}

// surveyFile surveys a regular file, on several cores where there are more of them
// than files.
func (s *surveyor) surveyFile(src *archiveSource, file io.Reader, size int64) (*mapped, error) {
	if whole, ok := file.(io.ReaderAt); ok && s.parts > 1 && s.picture == nil {
		if capture, ok := survey.TakeParts(&partSource{src, whole}, size, s.parts); ok && s.ctx.Err() == nil {
			result := &mapped{input: s.task.input, capture: capture}
			result.name(size)
			return result, nil
		}
	}
	return s.surveyCapture(s.task.input, src, size)
}

// partSource is a file of which parts are read at the same time.
type partSource struct {
	*archiveSource
	whole io.ReaderAt
}

func (p *partSource) ReadAt(b []byte, offset int64) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.whole.ReadAt(b, offset)
	p.progress.add(int64(n))
	return n, err
}

// surveyStream surveys what can be read only once.
func (s *surveyor) surveyStream(src io.Reader) error {
	src, tarball := tellTarball(src)
	if tarball {
		return s.walkTarball(s.task.path, src, s.surveyMember)
	}
	counted := &countedReader{src: src}
	result, err := s.surveyCapture(s.task.input, counted, math.MaxInt64)
	if err != nil {
		return err
	}
	result.capture.Size = counted.bytes
	return s.give(result)
}

type countedReader struct {
	src   io.Reader
	bytes int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.bytes += int64(n)
	return n, err
}

// surveyMember surveys a member of a tarball.
func (s *surveyor) surveyMember(reader *archive.Reader, member *archive.Member) error {
	if member.Type != archive.File || !s.names.wants(member.Name) {
		return nil
	}
	in := input{path: member.Name, archive: s.task.path, found: true}
	src := &memberSource{reader: reader}
	result, err := s.surveyCapture(in, src, member.Size)
	src.end()
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if err != nil {
		return s.give(&mapped{input: in, err: err})
	}
	result.capture.Offset = &member.Offset
	return s.give(result)
}

// memberSource is the data of a member. Decompression may read ahead in a
// goroutine of its own, which must not reach into the next member.
type memberSource struct {
	mutex  sync.Mutex
	reader *archive.Reader
}

func (m *memberSource) Read(p []byte) (int, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.reader == nil {
		return 0, io.EOF
	}
	return m.reader.Read(p)
}

func (m *memberSource) end() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.reader = nil
}

// surveyCapture surveys a capture of size bytes, as stored. A source that fails on
// the way is damage like any other: what was read before it counts.
func (s *surveyor) surveyCapture(in input, src io.Reader, size int64) (*mapped, error) {
	reader := s.reader
	reader.Reset(src)
	result := &mapped{input: in}
	if s.picture != nil {
		result.rate = new(survey.Rate)
	}
	var err error
	result.capture, err = survey.Take(reader, result.rate)
	result.name(size)
	switch {
	case s.ctx.Err() != nil:
		return nil, s.ctx.Err()
	case reader.Sections() == 0 && err != nil:
		return nil, err
	case reader.Sections() == 0 && in.found && !captureName.MatchString(in.path):
		return nil, fmt.Errorf("%w: empty", stream.ErrNotCapture)
	case err != nil:
		c := &result.capture
		c.Damage = append(c.Damage, record.Damage{Offset: reader.Offset(), Record: c.Packets + 1, Reason: withoutPath(err).Error()})
	}
	return result, nil
}
