package unxz

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"slices"
)

var crc64Table = crc64.MakeTable(crc64.ECMA)

// checkSizes are the sizes of checks by their type, in bytes: section 2.1.1.2.
var checkSizes = [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}

// check is the checksum of the data of a block. A checksum of an unknown type, or no checksum,
// accepts any data.
type check struct {
	name string
	size int64
	hash hash.Hash // nil if the type is not known
}

func newCheck(kind byte) *check {
	c := &check{size: checkSizes[kind]}
	switch kind {
	case 1:
		c.name, c.hash = "CRC32", crc32.NewIEEE()
	case 4:
		c.name, c.hash = "CRC64", crc64.New(crc64Table)
	case 10:
		c.name, c.hash = "SHA-256", sha256.New()
	}
	return c
}

func (c *check) reset() {
	if c.hash != nil {
		c.hash.Reset()
	}
}

func (c *check) add(data []byte) {
	if c.hash != nil {
		_, _ = c.hash.Write(data) // it never fails
	}
}

// compare compares the checksum of the data that was added with the one that is stored.
func (c *check) compare(stored []byte) error {
	if c.hash == nil {
		return nil
	}
	sum := c.hash.Sum(nil)
	if c.size <= 8 { // a CRC is a number, and stored with its lowest byte first
		slices.Reverse(stored)
	}
	if !slices.Equal(sum, stored) {
		return fmt.Errorf("%s is 0x%x, wanted 0x%x", c.name, sum, stored)
	}
	return nil
}

// compareCRC32 compares the CRC32 of data, or of a part of the stream outside a block, with
// the one that is stored.
func compareCRC32(data, stored []byte) error {
	return compareSum(crc32.ChecksumIEEE(data), stored)
}

func compareSum(sum uint32, stored []byte) error {
	if wanted := binary.LittleEndian.Uint32(stored); sum != wanted {
		return fmt.Errorf("CRC32 is 0x%08x, wanted 0x%08x", sum, wanted)
	}
	return nil
}
