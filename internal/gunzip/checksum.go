package gunzip

// Checksum is the CRC-32 of the uncompressed data between two points.
//
// A CRC is the remainder of a polynomial over GF(2): the data before from counts
// in to's as if zeros followed it, and so can be taken out again. zlib calls the
// other direction crc32_combine.
func Checksum(from, to *Point) uint32 {
	return to.Checksum ^ multiply(zeros(to.Offset-from.Offset), from.Checksum)
}

// polynomial is that of gzip, the lowest power in the highest bit.
const polynomial = 0xedb88320

// multiply multiplies modulo the polynomial.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ polynomial
		} else {
			b >>= 1
		}
	}
	return product
}

// zeros is what a remainder is multiplied by when count zero bytes follow: x to the
// power of eight times count.
func zeros(count int64) uint32 {
	power, square := uint32(1)<<31, uint32(1)<<23 // x^0 and x^8
	for ; count > 0; count >>= 1 {
		if count&1 != 0 {
			power = multiply(power, square)
		}
		square = multiply(square, square)
	}
	return power
}
