//go:build amd64 || arm64 || 386 || arm

package tool

// entry is the entry point of a program that is linked with -E. Before any Go code runs, the
// Go runtime opens /dev/null for each standard descriptor that is closed. Many programs open
// /dev/null for their children, too, so the two cases cannot be distinguished afterwards.
func entry()

var _ = entry // so that the linker keeps it
