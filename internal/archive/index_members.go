package archive

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"time"

	"pcap-replay/stream"
)

// maxTextLength is the longest name or link in an index, in bytes: what archive/tar
// reads at most.
const maxTextLength = 1 << 20

// memberReader reads members from the table of an index.
type memberReader struct {
	src      *bufio.Reader
	end      int64 // of the members in the uncompressed tarball
	previous int64 // header
	err      error
}

func (r *memberReader) number(limit uint64) int64 {
	n, err := binary.ReadUvarint(r.src)
	r.keep(err)
	if r.err == nil && n > limit {
		r.err = indexErrorf("members: number %d, at most %d is possible", n, limit)
	}
	if r.err != nil {
		return 0
	}
	return int64(n)
}

func (r *memberReader) signed() int64 {
	n, err := binary.ReadVarint(r.src)
	r.keep(err)
	return n
}

func (r *memberReader) text() string {
	text := make([]byte, r.number(maxTextLength))
	_, err := io.ReadFull(r.src, text)
	r.keep(err)
	return string(text)
}

func (r *memberReader) keep(err error) {
	if r.err == nil && err != nil {
		r.err = indexErrorf("members: %v", err)
	}
}

// next reads one member.
func (r *memberReader) next() (*Member, error) {
	m := &Member{Name: r.text(), Link: r.text(), Type: Type(r.text())}
	m.Size = r.number(math.MaxInt64)
	m.Header = r.number(uint64(r.end))
	m.Offset = r.number(uint64(r.end))
	seconds := r.signed()
	m.ModTime = time.Unix(seconds, r.number(uint64(time.Second)))
	c := &m.Content
	c.Format = stream.Format(r.number(uint64(stream.FormatPcapNG)))
	c.Compression = stream.Compression(r.number(uint64(stream.Bzip2)))
	for range r.number(math.MaxUint16) {
		c.LinkTypes = append(c.LinkTypes, stream.LinkType(r.number(math.MaxUint16)))
	}
	c.HasFirst = r.number(1) == 1
	c.First = r.signed()
	if r.err != nil {
		return nil, r.err
	}
	if m.Header%blockSize != 0 || m.Header < r.previous || m.Offset <= m.Header {
		return nil, indexErrorf("members: %q begins at %d behind %d", m.Name, m.Header, r.previous)
	}
	r.previous = m.Header + blockSize
	return m, nil
}

// Each calls visit for every member, in the order of the tarball, until it returns
// an error.
func (x *Indexed) Each(visit func(*Member) error) error {
	length := x.size - footerSize - x.footer.Members
	table := io.NewSectionReader(x.index, x.footer.Members, length)
	sum := crc32.New(crc32.IEEETable)
	if _, err := io.Copy(sum, table); err != nil {
		return err
	}
	if sum.Sum32() != x.footer.MembersSum {
		return indexErrorf("members: wrong checksum")
	}
	_, _ = table.Seek(0, io.SeekStart)
	decoder, err := newZstdDecoder(table)
	if err != nil {
		return indexErrorf("members: %v", err)
	}
	defer decoder.Close()
	reader := &memberReader{src: bufio.NewReader(decoder), end: x.footer.End}
	var last *Member
	for range x.footer.MemberCount {
		m, err := reader.next()
		if err != nil {
			return err
		}
		if last != nil {
			last.end = m.Header
			if err := visit(last); err != nil {
				return err
			}
		}
		last = m
	}
	if last == nil {
		return nil
	}
	last.end = x.footer.End
	return visit(last)
}
