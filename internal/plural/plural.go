// Package plural writes numbers with nouns.
package plural

import "fmt"

// Of writes a number and a noun: 1 packet, 2 packets.
func Of[N int | int64 | uint32 | uint64](number N, noun string) string {
	if number == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", number, noun)
}
