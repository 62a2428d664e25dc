package main

import (
	"errors"

	"pcap-replay/internal/schedule"
	"pcap-replay/internal/wire"
)

// sockets send on an interface or into a tunnel. There is one for each worker.
type sockets struct {
	open    []wire.Sender
	stamped []wire.Stamps // of the open ones, with --verify
	retries uint64        // of those that are closed
}

// stampFrames makes the kernel timestamp the frames of all sockets.
func (s *sockets) stampFrames() error {
	for _, socket := range s.open {
		stamps, err := wire.StampFrames(socket)
		if err != nil {
			return err
		}
		s.stamped = append(s.stamped, stamps)
	}
	return nil
}

func (s *sockets) senders() []schedule.Sender {
	senders := make([]schedule.Sender, len(s.open))
	for i, socket := range s.open {
		senders[i] = socket
	}
	return senders
}

// drain returns when all frames have left the queues of this machine.
func (s *sockets) drain() error {
	var errs []error
	for _, socket := range s.open {
		errs = append(errs, socket.Drain())
	}
	return errors.Join(errs...)
}

// retried is the number of times that there was no room for a frame.
func (s *sockets) retried() uint64 {
	total := s.retries
	for _, socket := range s.open {
		total += socket.Retries()
	}
	return total
}

func (s *sockets) close() error {
	s.retries = s.retried()
	var errs []error
	for _, socket := range s.open {
		errs = append(errs, socket.Close())
	}
	s.open, s.stamped = nil, nil
	return errors.Join(errs...)
}
