//go:build !unix

package cli

// descriptorLimit is how many inputs may be open at once.
func descriptorLimit() int { return 256 }
