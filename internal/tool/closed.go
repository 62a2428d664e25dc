package tool

import "errors"

// closedAtStart is true for each of stdin, stdout and stderr that was closed when the process
// began. This is known only if the program has its own entry: make links it on Linux. A
// program that go build or go install has linked takes a closed descriptor for /dev/null.
var closedAtStart [3]bool

// errClosed is the error of a stream that was closed when the process began.
var errClosed = errors.New("is closed")

// closedStream is such a stream. Only a run that uses it fails.
type closedStream struct{}

func (closedStream) Read([]byte) (int, error)  { return 0, errClosed }
func (closedStream) Write([]byte) (int, error) { return 0, errClosed }

// withoutClosed replaces each stream that was closed by a closedStream.
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
