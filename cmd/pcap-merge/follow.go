package main

import (
	"context"
	"errors"
	"io"

	"pcap-replay/internal/input"
	"pcap-replay/internal/merge"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// playGrowing merges the files of a folder as they are written, until SIGINT or --idle, and
// then the rest.
func (m *merging) playGrowing(writer *stream.Writer) error {
	follower := merge.NewFollower(m.captures, m.folder(), m.options(m.growingTrouble))
	defer follower.Close()
	defer context.AfterFunc(m.run.Context, follower.Stop)()
	defer func() { m.late.Add(follower.Late()) }()
	m.config.selector.rewind()
	batch := make([]stream.Packet, input.BatchPackets)
	for {
		if m.config.selector.isPast() {
			follower.Stop()
		}
		n, err := follower.Read(batch)
		m.named, m.sound = follower.Files(), follower.Files()
		m.inputCount.Store(int64(follower.Files()))
		switch {
		case err == io.EOF:
			return m.problems.Check()
		case err != nil:
			return mergeError(err)
		case n == 0:
			if err := writer.Flush(); err != nil {
				return tool.OutputError(m.out, err)
			}
			continue
		}
		kept, err := m.config.selector.keep(batch[:n])
		if err != nil {
			return err
		}
		if err := m.write(writer, kept); err != nil {
			return err
		}
	}
}

// refuseOutputs refuses an output that is a capture of the folder that is followed.
func (m *merging) refuseOutputs() error {
	paths, err := input.RegularFiles(m.config.follow, m.config.names)
	if err != nil {
		return nil // the follower says so
	}
	for _, path := range paths {
		if err := m.opener.RefuseOutput(path); err != nil {
			return err
		}
	}
	return nil
}

// folder is the followed folder. Its removal is reported.
func (m *merging) folder() merge.Folder {
	list := func() ([]string, error) {
		paths, err := input.RegularFiles(m.config.follow, m.config.names)
		if err != nil {
			m.problems.Failed(input.File{Path: m.config.follow}, err)
		}
		return paths, err
	}
	return merge.Folder{Path: m.config.follow, List: list, IsOutput: m.opener.IsOutput, Idle: m.config.idle}
}

func (m *merging) growingTrouble(file *merge.Input, err error) error {
	var damage *stream.Damage
	var unread *merge.UnreadError
	switch {
	case errors.As(err, &unread):
		m.unread.Add(unread.Lost)
		m.problems.Unread(input.File{Path: file.Path()}, unread, unread.Offset, unread.Lost)
	case errors.As(err, &damage):
		m.problems.Damage(input.File{Path: file.Path()}, damage)
	case errors.Is(err, stream.ErrNotCapture):
		if !m.problems.NotCapture(input.File{Path: file.Path(), Found: true}, err) {
			return nil
		}
	default:
		m.problems.Failed(input.File{Path: file.Path()}, err)
	}
	return m.problems.Stop()
}
