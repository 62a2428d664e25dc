package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/record"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// mapped is the result for one capture.
type mapped struct {
	file    input.File
	capture record.Capture
	rate    *survey.Rate // nil if no picture is drawn
	err     error        // the reason why there is no record
}

// name fills in the fields that the survey does not know.
func (r *mapped) name(size int64) {
	c := &r.capture
	c.Path, c.PathRaw = r.file.Path, record.RawName(r.file.Path)
	c.Archive, c.ArchiveRaw = r.file.Archive, record.RawName(r.file.Archive)
	c.Size = size
}

// lookAhead is the number of inputs per job that may be started early. It limits the
// records that wait to be printed in order.
const lookAhead = 8

// surveyTask is an input and its results. A tarball has many.
type surveyTask struct {
	file    input.File
	results chan *mapped
}

// surveyAll surveys several inputs at the same time, and puts their results in the order of
// the inputs.
func (m *mapping) surveyAll(inputs *input.FileList) error {
	ctx, cancel := context.WithCancel(m.run.Context)
	defer cancel()
	jobs := min(m.config.jobs, inputs.Len())
	parts := m.config.jobs / max(inputs.Len(), 1)
	waiting := make(chan surveyTask)
	begun := make(chan surveyTask, lookAhead*jobs)
	for range jobs {
		go func() {
			reader := stream.NewReader(nil)
			defer reader.Close()
			for task := range waiting {
				newSurveyor(ctx, m, task, reader, parts).survey()
			}
		}()
	}
	go func() {
		defer close(waiting)
		defer close(begun)
		for file := range inputs.All() {
			task := surveyTask{file, make(chan *mapped, 1)}
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
	return m.run.Context.Err()
}

// putAll waits for the results of one input. When the run is stopped, it does not wait for
// an input that is silent.
func (m *mapping) putAll(results <-chan *mapped) error {
	for {
		select {
		case <-m.run.Context.Done():
			return m.run.Context.Err()
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

// surveyor surveys one input and sends its results.
type surveyor struct {
	ctx      context.Context // done when the results are no longer needed
	opener   *input.Opener
	archives *input.Archives
	names    input.Names // of members
	count    func(bytes int64)
	parts    int  // of one file that are read at the same time
	rated    bool // the rates are for a picture
	task     surveyTask
	members  int            // of the tarball, those that are captures or should be
	reader   *stream.Reader // is used for one capture after another
}

func newSurveyor(ctx context.Context, m *mapping, task surveyTask, reader *stream.Reader, parts int) *surveyor {
	count := m.run.Progress.Add
	return &surveyor{
		ctx: ctx, opener: m.opener, names: m.config.names, count: count, parts: parts, rated: m.picture != nil, task: task, reader: reader,
		archives: &input.Archives{
			Context: ctx, Opener: m.opener, Problems: m.problems, Count: count, IgnoreZeros: m.config.ignoreZeros,
		},
	}
}

func (s *surveyor) survey() {
	defer close(s.task.results)
	if err := s.surveyInput(); err != nil {
		_ = s.give(&mapped{file: s.task.file, err: err})
	}
}

// give sends a result. Its error means that no more results are needed.
func (s *surveyor) give(result *mapped) error {
	select {
	case s.task.results <- result:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *surveyor) surveyInput() error {
	file, err := s.opener.Open(s.task.file.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	src := input.NewSource(s.ctx, file, s.count)
	info, err := os.Stat(s.task.file.Path)
	if s.task.file.Path == "-" || err != nil || !info.Mode().IsRegular() {
		return s.surveyStream(src)
	}
	result, err := s.surveyFile(src, file, info.Size())
	if errors.Is(err, stream.ErrNotCapture) && archive.IsFile(s.task.file.Path) {
		return s.surveyMembers(func() error { return s.archives.Walk(s.task.file.Path, s.surveyMember) })
	}
	if err != nil {
		return err
	}
	return s.give(result)
}

// surveyFile surveys a regular file. It uses several cores if there are more cores than
// files.
func (s *surveyor) surveyFile(src *input.Source, file io.Reader, size int64) (*mapped, error) {
	if whole, ok := file.(io.ReaderAt); ok && s.parts > 1 && !s.rated {
		if capture, ok := survey.TakeParts(&partSource{src, s.ctx, whole, s.count}, size, s.parts); ok && s.ctx.Err() == nil {
			result := &mapped{file: s.task.file, capture: capture}
			result.name(size)
			return result, nil
		}
	}
	return s.surveyCapture(s.task.file, src, size)
}

// partSource is a file of which parts are read at the same time.
type partSource struct {
	*input.Source
	ctx   context.Context
	whole io.ReaderAt
	count func(bytes int64)
}

func (p *partSource) ReadAt(b []byte, offset int64) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.whole.ReadAt(b, offset)
	p.count(int64(n))
	return n, err
}

// surveyStream surveys an input that can be read only once.
func (s *surveyor) surveyStream(src io.Reader) error {
	src, tarball := input.DetectTarball(src)
	if tarball {
		return s.surveyMembers(func() error { return s.archives.WalkStream(s.task.file.Path, src, s.surveyMember) })
	}
	counted := &countedReader{src: src}
	result, err := s.surveyCapture(s.task.file, counted, math.MaxInt64)
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

// surveyMembers surveys the members of a tarball. A tarball without a capture is an error.
func (s *surveyor) surveyMembers(walk func() error) error {
	s.members = 0
	err := walk()
	if err == nil && s.members == 0 {
		return s.names.NoCapture()
	}
	return err
}

// surveyMember surveys a member of a tarball.
func (s *surveyor) surveyMember(reader archive.Walker, member *archive.Member) error {
	if member.Type != archive.File || !s.names.Want(member.Name) {
		return nil
	}
	in := input.File{Path: member.Name, Archive: s.task.file.Path, Found: true}
	src := &memberSource{reader: reader}
	result, err := s.surveyCapture(in, src, member.Size)
	src.end()
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	if err == nil || input.LooksLikeCapture(member.Name) {
		s.members++
	}
	if err != nil {
		return s.give(&mapped{file: in, err: err})
	}
	result.capture.Offset = &member.Offset
	return s.give(result)
}

// memberSource is the data of a member. A decompressor may read ahead in a goroutine of its
// own, which must not read the next member.
type memberSource struct {
	mutex  sync.Mutex
	reader archive.Walker
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

// surveyCapture surveys a capture of size bytes, as stored. If the source fails, this is
// damage, and everything that was read before counts.
func (s *surveyor) surveyCapture(in input.File, src io.Reader, size int64) (*mapped, error) {
	reader := s.reader
	reader.Reset(src)
	result := &mapped{file: in}
	if s.rated {
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
	case reader.Sections() == 0 && !in.IsCaptureIfEmpty():
		return nil, input.ErrEmpty
	case err != nil:
		c := &result.capture
		damage := s.endDamage(in, err)
		damage.Offset, damage.Record = reader.Offset(), c.Packets+1
		c.Damage = append(c.Damage, damage)
		c.LostBytes += damage.Lost
	}
	return result, nil
}

// endDamage is what ended a capture early. Where it is damage of the tarball, the bytes that
// the member lacks are lost, unless it is compressed: then their number is not known.
func (s *surveyor) endDamage(in input.File, err error) record.Damage {
	var tarball *archive.Damage
	if !errors.As(err, &tarball) {
		return record.Damage{Reason: files.WithoutPath(err).Error()}
	}
	s.archives.Problems.ReportedWithMember(in.Archive, tarball)
	if s.reader.Section().Compression != stream.Uncompressed {
		return record.Damage{Reason: tarball.Error()}
	}
	return record.Damage{Lost: tarball.Lost, Reason: fmt.Sprintf("offset %d: %s", tarball.Offset, tarball.Reason)}
}
