// Package privilege gives up what a process may do beyond what its user may.
package privilege
