package main

import (
	"errors"
	"sync/atomic"

	"pcap-replay/internal/files"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// fileSink writes the frames that would be sent, with their times of sending.
type fileSink struct {
	out    *files.Output
	writer *stream.Writer
	clock  schedule.Clock
	mixed  bool // it can hold several link types

	packets, bytes atomic.Int64 // that the file or the pipe has taken
}

// openFileSink opens the file of -w.
func openFileSink(run *tool.Run, name string) (*fileSink, error) {
	if err := tool.CheckCompression("-w", name); err != nil {
		return nil, err
	}
	out, err := openFile(run, name)
	if err != nil {
		return nil, err
	}
	options := tool.OptionsOf(name)
	s := &fileSink{out: out, clock: schedule.System, mixed: options.PcapNG}
	options.Written = func(packets, bytes int64) { s.packets.Add(packets); s.bytes.Add(bytes) }
	if s.writer, err = stream.NewWriter(out, options); err != nil {
		return nil, err
	}
	return s, nil
}

func openFile(run *tool.Run, name string) (*files.Output, error) {
	if name == "-" {
		return run.OpenStdout(true, "-w")
	}
	return run.CreateCapture("-w", name)
}

func (s *fileSink) senders() []schedule.Sender { return []schedule.Sender{s} }

// egresses returns one that accepts everything that fits into the ring. In a pcap, all frames
// must have one link type.
func (s *fileSink) egresses(_ *config, longest int) []*egress {
	var first *stream.LinkType
	accepts := func(link stream.LinkType) error {
		if first == nil {
			first = &link
		}
		if link != *first && !s.mixed {
			return &stream.LinkTypeError{First: *first, Other: link}
		}
		return nil
	}
	fitter := frame.NewFitter(frame.Limits{Accepts: accepts, Longest: longest}, frame.Policies{Short: frame.ShortAsIs})
	return []*egress{{fitter: fitter, hintLinkType: "a pcapng holds several link types: -w FILE.pcapng"}}
}

// refusesFrame is always false, because a write error affects the whole file.
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

// close completes the capture. It holds the frames that were sent, even if a signal ended
// the run.
func (s *fileSink) close() error {
	if err := s.writer.Close(); err != nil {
		return s.failed(err)
	}
	return nil
}

func (s *fileSink) isWire() bool { return false }

func (s *fileSink) stamps() [][]wire.Stamps { return nil }

// describe counts what was written: a disk that is full, or a reader that goes away, takes
// only a part of the last write.
func (s *fileSink) describe(summary *record.InjectSummary) {
	summary.PacketsOut, summary.Frames, summary.Bytes = s.packets.Load(), s.packets.Load(), s.bytes.Load()
}

func (s *fileSink) drain() error { return nil }

func (s *fileSink) reportDrops(*tool.Messages) {}
