package tool

import (
	"errors"
	"os"

	"pcap-replay/internal/files"
)

// Memory reads --memory and --tmp: the number of bytes to keep in memory, and the folder for
// the rest.
func (f *Flags) Memory() (memory int64, tmp string, err error) {
	if memory, err = ParseSize("memory", f.String("memory")); err != nil {
		return 0, "", err
	}
	if tmp = f.String("tmp"); tmp == "" {
		return memory, os.TempDir(), nil
	}
	return memory, tmp, CheckFolder("--tmp", tmp)
}

// CheckFolder returns an error if a flag does not name a folder.
func CheckFolder(flag, path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return UsageErrorf("%s %w", flag, files.Named(path, err))
	case !info.IsDir():
		return UsageErrorf("%s %q: is not a folder", flag, path)
	}
	return nil
}

// HintTemporary adds to the error of a temporary file what to do next.
func HintTemporary(err error) error {
	if errors.Is(err, files.ErrTemporary) {
		return WithHint(err, "--tmp names another folder for temporary files, and --memory keeps more in memory")
	}
	return err
}
