package files

import (
	"io/fs"
	"os"
)

// IsPipe reports whether a stream is a pipe or a socket: there is another program after it.
func IsPipe(stream any) bool { return Mode(stream)&(fs.ModeNamedPipe|fs.ModeSocket) != 0 }

// Mode is the mode of a stream that is a file, and otherwise 0.
func Mode(stream any) fs.FileMode {
	file, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	info, err := file.Stat()
	if err != nil {
		return 0
	}
	return info.Mode()
}
