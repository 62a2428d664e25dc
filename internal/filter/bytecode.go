package filter

import (
	"errors"
	"io"
)

func ParseBytecode(r io.Reader) (*Program, error) { return nil, errors.New("todo") }
