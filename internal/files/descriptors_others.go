//go:build !unix

package files

// DescriptorLimit is how many inputs may be open at once: half of the 512 that the C
// library of Windows allows.
func DescriptorLimit() int { return 256 }
