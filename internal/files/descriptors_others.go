//go:build !unix

package files

// DescriptorLimit is the number of inputs that may be open at the same time: half of the 512
// that the C library of Windows allows.
func DescriptorLimit() int { return 256 }
