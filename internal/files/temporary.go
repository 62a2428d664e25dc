package files

import (
	"errors"
	"os"
)

// Temporary is a file without a name, which cannot outlive the process.
type Temporary struct {
	*os.File
	name string // on Windows, where an open file keeps its name; else ""
}

// ErrTemporary means that a temporary file could not be made, written or read.
var ErrTemporary = errors.New("temporary file")

// CreateTemporary creates a temporary file in folder. The pattern is that of [os.CreateTemp].
func CreateTemporary(folder, pattern string) (*Temporary, error) {
	file, err := os.CreateTemp(folder, pattern)
	if err != nil {
		return nil, err
	}
	t := &Temporary{File: file}
	if os.Remove(file.Name()) != nil {
		t.name = file.Name()
	}
	return t, nil
}

// Close closes the file, and removes its name if it has one.
func (t *Temporary) Close() error {
	err := t.File.Close()
	if t.name != "" {
		err = errors.Join(err, os.Remove(t.name))
	}
	return err
}
