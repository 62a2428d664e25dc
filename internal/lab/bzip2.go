package lab

import "math/rand/v2"

// Bzip2Magics returns noise that makes bzip2 write its magic numbers into blocks: that of
// the end, and then that of a block. A bitmap in the block shows which bytes it uses. The
// bytes are chosen so that the bits of this bitmap are the magic numbers.
func Bzip2Magics(size int) []byte {
	const firstByte = 0x80
	var alphabet []byte
	for i, magic := range []uint64{0x177245385090, 0x314159265359} { // of 48 bits
		for bit := range 48 {
			if magic>>(47-bit)&1 == 1 {
				alphabet = append(alphabet, byte(firstByte+48*i+bit))
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, size)
	for i := range data {
		data[i] = alphabet[random.IntN(len(alphabet))]
	}
	return data
}
