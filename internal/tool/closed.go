package tool

import "errors"

// closedAtStart says which of stdin, stdout and stderr were closed when the process began,
// where the entry of the program could look: as make links the tools, on Linux and amd64.
var closedAtStart [3]bool

// errClosed is why a stream cannot be used that was closed when the process began.
var errClosed = errors.New("is closed")

// closedStream is such a stream. What needs it fails, and what does not is well.
type closedStream struct{}

func (closedStream) Read([]byte) (int, error)  { return 0, errClosed }
func (closedStream) Write([]byte) (int, error) { return 0, errClosed }

// withoutClosed puts a closedStream in the place of each stream that was closed.
func (s Streams) withoutClosed(closed [3]bool) Streams {
	if closed[0] {
		s.In = closedStream{}
	}
	if closed[1] {
		s.Out = closedStream{}
	}
	if closed[2] {
		s.Err = closedStream{}
	}
	return s
}
