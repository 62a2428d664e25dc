//go:build !linux

package files

import "os"

// EnlargePipe does nothing: only Linux lets a pipe be enlarged.
func EnlargePipe(any) {}

// SendFile sends nothing: other systems have no sendfile(2) into a pipe.
func SendFile(dst, src *os.File, offset, size int64) int64 { return 0 }
