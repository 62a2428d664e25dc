package main

import (
	"errors"
	"io"
	"slices"

	"pcap-replay/internal/input"
	"pcap-replay/internal/merge"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// playGrowing writes what is written into a folder, until SIGINT or --idle, and
// then what is left.
func (m *merging) playGrowing(writer *stream.Writer) error {
	follower := merge.NewFollower(m.captures, m.growing, m.config.idle, merge.Options{Mixed: m.config.writer.PcapNG, Trouble: m.growingTrouble})
	defer follower.Close()
	defer func() { m.late.Add(follower.Late()) }()
	m.config.selector.rewind()
	batch := make([]stream.Packet, input.BatchPackets)
	for stopped := false; ; {
		if !stopped && (m.run.Context.Err() != nil || m.config.selector.isPast()) {
			follower.Stop()
			stopped = true
		}
		n, err := follower.Read(batch)
		m.named, m.sound = follower.Files(), follower.Files()
		switch {
		case err == io.EOF:
			return nil
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

// growing lists the files of the folder that is followed.
func (m *merging) growing() (paths []string) {
	return slices.DeleteFunc(input.RegularFiles(m.config.follow, m.config.names), m.opener.IsOutput)
}

func (m *merging) growingTrouble(file *merge.Input, err error) error {
	var damage *stream.Damage
	switch {
	case errors.As(err, &damage):
		m.problems.Damage(input.File{Path: file.Path}, damage)
	case errors.Is(err, stream.ErrNotCapture):
		if !m.problems.NotCapture(input.File{Path: file.Path, Found: true}, err) {
			return nil
		}
	default:
		m.problems.Failed(input.File{Path: file.Path}, err)
	}
	return m.problems.Stop()
}
