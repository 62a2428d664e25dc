package main

import (
	"errors"

	"pcap-replay/internal/files"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// fileSink writes what would be sent, stamped with the moment at which it is.
type fileSink struct {
	out    *files.Output
	writer *stream.Writer
	clock  schedule.Clock
}

// openFileSink opens what -w names.
func openFileSink(run *tool.Run, name string) (*fileSink, error) {
	out, err := openFile(run, name)
	if err != nil {
		return nil, err
	}
	writer, err := stream.NewWriter(out, stream.WriterOptions{LinkType: stream.LinkTypeEthernet})
	if err != nil {
		return nil, err
	}
	return &fileSink{out: out, writer: writer, clock: schedule.System}, nil
}

func openFile(run *tool.Run, name string) (*files.Output, error) {
	if name == "-" {
		return run.OpenStdout(true, "-w")
	}
	return run.CreateCapture("-w", name)
}

func (s *fileSink) senders() []schedule.Sender { return []schedule.Sender{s} }

// fitter takes everything that fits into the ring, if all is of one link type.
func (s *fileSink) fitter(_ *config, longest int) *frame.Fitter {
	var first *stream.LinkType
	accepts := func(link stream.LinkType) error {
		if first == nil {
			first = &link
		}
		if link != *first {
			return &stream.LinkTypeError{First: *first, Other: link}
		}
		return nil
	}
	return frame.NewFitter(frame.Limits{Accepts: accepts, Longest: longest}, frame.Policies{Short: frame.ShortAsIs})
}

// refusesFrame is never true: the writer fails as a whole.
func (s *fileSink) refusesFrame(error) bool { return false }

// Send implements schedule.Sender.
func (s *fileSink) Send(packets []stream.Packet) (sent int, err error) {
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
func (s *fileSink) WarmUp() {}

// Flush implements schedule.Sender.
func (s *fileSink) Flush() error {
	if err := s.writer.Flush(); err != nil {
		return s.failed(err)
	}
	return nil
}

func (s *fileSink) failed(err error) error {
	var linkTypes *stream.LinkTypeError
	if errors.As(err, &linkTypes) {
		return err
	}
	return s.out.Named(err)
}

// close ends the capture. What was sent is in it, also when a signal has ended the run.
func (s *fileSink) close() error {
	if err := s.writer.Close(); err != nil {
		return s.failed(err)
	}
	return nil
}

func (s *fileSink) isWire() bool { return false }

func (s *fileSink) stamps() []*wire.Stamps { return nil }

func (s *fileSink) describe(*record.InjectSummary) {}

func (s *fileSink) drain() error { return nil }

func (s *fileSink) queueDropped() int64 { return 0 }
