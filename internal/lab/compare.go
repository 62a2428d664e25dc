package lab

import (
	"bytes"
	"slices"
	"time"

	"pcap-replay/stream"
)

// Comparison says how the packets that arrived differ from those that were sent.
type Comparison struct {
	Sent, Received           int
	SentBytes, ReceivedBytes int64
	// Same means that the same frames arrived in the same order, byte for byte.
	Same bool
	// Gap50 and Gap99 are percentiles of the gap error, which is how much the gap between
	// two packets that arrived differs from that between the packets that were sent.
	Gap50, Gap99 time.Duration
	// Drift is how much the duration of the whole replay differs from that of the capture.
	Drift time.Duration
}

// Compare compares frames and their times. The percentiles need at least two frames.
func Compare(sent, received []stream.Packet) (c Comparison) {
	c.Sent, c.Received = len(sent), len(received)
	c.Same = len(sent) == len(received)
	for i := range sent {
		c.SentBytes += int64(len(sent[i].Data))
		c.Same = c.Same && bytes.Equal(sent[i].Data, received[i].Data)
	}
	for i := range received {
		c.ReceivedBytes += int64(len(received[i].Data))
	}
	common := min(len(sent), len(received))
	if common < 2 {
		return c
	}
	errors := make([]time.Duration, common-1)
	for i := range errors {
		gap := (received[i+1].Time - received[i].Time) - (sent[i+1].Time - sent[i].Time)
		errors[i] = time.Duration(gap).Abs()
	}
	slices.Sort(errors)
	c.Gap50, c.Gap99 = errors[len(errors)/2], errors[len(errors)*99/100]
	c.Drift = time.Duration((received[common-1].Time - received[0].Time) - (sent[common-1].Time - sent[0].Time))
	return c
}
