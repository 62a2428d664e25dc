package cli

import (
	"errors"

	"pcap-replay/internal/files"
	"pcap-replay/internal/schedule"
	"pcap-replay/stream"
)

// fileSender writes what would be sent, stamped with the moment at which it is.
type fileSender struct {
	output *output
	name   string
	writer *stream.Writer
	clock  schedule.Clock
}

// openFileWay opens what -w names.
func (j *job) openFileWay(name string) (*fileSender, error) {
	if name == "-" {
		if isTerminal(j.Out) {
			return nil, notText("stdout").withHint("redirect it, or name a file with -w")
		}
		files.EnlargePipe(j.Out)
		return newFileSender(&output{Writer: j.Out}, "stdout"), nil
	}
	o, err := createOutput(name)
	if err != nil {
		return nil, usageErrorf("-w %w", namedError(name, err))
	}
	j.onEnd(o.abandon)
	if isTerminal(o.file) {
		return nil, notText(displayName(name, ""))
	}
	return newFileSender(o, name), nil
}

func newFileSender(o *output, name string) *fileSender {
	writer := stream.NewWriter(o, stream.WriterOptions{LinkType: stream.LinkTypeEthernet})
	return &fileSender{output: o, name: name, writer: writer, clock: schedule.System}
}

func (s *fileSender) senders() []schedule.Sender { return []schedule.Sender{s} }

// framer takes everything that fits into the ring.
func (s *fileSender) framer(_ *injectConfig, longest int) *framer { return newFileFramer(longest) }

// passesOver is never true: the writer fails as a whole.
func (s *fileSender) passesOver(error) bool { return false }

// Send implements schedule.Sender.
func (s *fileSender) Send(packets []stream.Packet) (sent int, err error) {
	now := schedule.WallTime(s.clock.Now())
	for i := range packets {
		packets[i].Time = now
	}
	if err := s.writer.Write(packets); err != nil {
		return 0, s.failed(err)
	}
	return len(packets), nil
}

// WarmUp implements schedule.Sender.
func (s *fileSender) WarmUp() {}

// Flush implements schedule.Sender.
func (s *fileSender) Flush() error {
	if err := s.writer.Flush(); err != nil {
		return s.failed(err)
	}
	return nil
}

func (s *fileSender) failed(err error) error {
	var linkTypes *stream.LinkTypeError
	if errors.As(err, &linkTypes) {
		return err
	}
	return namedError(s.name, err)
}

// close ends the capture and gives it its name. What was sent stands in it, also
// when a signal has ended the run.
func (s *fileSender) close() error {
	if err := s.writer.Close(); err != nil {
		return s.failed(err)
	}
	return s.output.commit()
}
