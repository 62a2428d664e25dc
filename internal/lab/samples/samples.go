// Package samples makes data for the tests of compressions. It imports nothing of ours, so
// that the packages that package lab stands on can use it.
package samples

import (
	"bytes"
	"math/rand/v2"
	"strings"
)

// All gives inputs of all kinds by their names: runs, text, noise, and what lies between,
// which is "mixed" and has at least size bytes. They are the same every time.
func All(size int) map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	return map[string][]byte{
		"empty": {}, "one byte": {7}, "run": make([]byte, 1_000_000), "noise": noise, "mixed": mixed(random, noise, size),
		"text": []byte(strings.Repeat("The quick brown fox jumps over the lazy dog.\n", 20_000)),
	}
}

// mixed puts pieces of up to 2,000 bytes together: noise, runs, text, and what stood up to
// 40,000 bytes before, which is over the window of gzip.
func mixed(random *rand.Rand, noise []byte, size int) (data []byte) {
	for len(data) < size {
		switch n := random.IntN(2000); random.IntN(4) {
		case 0:
			data = append(data, noise[n:2*n]...)
		case 1:
			data = append(data, bytes.Repeat([]byte{byte(n)}, n)...)
		case 2:
			data = append(data, strings.Repeat("abc, def; ", n/10)...)
		default:
			if from := len(data) - random.IntN(min(len(data)+1, 40_000)); from < len(data) {
				data = append(data, data[from:min(len(data), from+n)]...)
			}
		}
	}
	return data
}
