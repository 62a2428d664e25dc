package archive

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"pcap-replay/stream"
)

// indexParts is an index in parts. A test can change any of them and make an index with
// correct checksums again.
type indexParts struct {
	header  indexHeader
	windows []byte
	cells   []uint32
	points  []accessPoint
	members []*Member
	damages []*Damage
	footer  indexFooter
}

func takeApart(t testing.TB, path string) *indexParts {
	t.Helper()
	x, err := OpenIndexed(path)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	data, err := os.ReadFile(IndexPath(path))
	if err != nil {
		t.Fatal(err)
	}
	members, err := membersOf(x)
	if err != nil {
		t.Fatal(err)
	}
	p := &indexParts{
		header: x.header, windows: data[headerSize:x.footer.Cells], cells: make([]uint32, x.footer.CellCount),
		points: x.points, members: members, damages: x.damages, footer: x.footer,
	}
	_, _ = binary.Decode(data[x.footer.Cells:], binary.LittleEndian, p.cells)
	return p
}

// clone copies the parts that tests change.
func (p *indexParts) clone() *indexParts {
	c := *p
	c.windows, c.cells, c.points = bytes.Clone(p.windows), slices.Clone(p.cells), slices.Clone(p.points)
	c.members = nil
	for _, m := range p.members {
		copied := *m
		c.members = append(c.members, &copied)
	}
	return &c
}

// seal makes an index of the parts. It computes the places and checksums, and the numbers of
// the footer that were not changed.
func (p *indexParts) seal(t testing.TB) []byte {
	t.Helper()
	w := newMemberWriter()
	for _, m := range p.members {
		if err := w.add(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.finish(p.damages); err != nil {
		t.Fatal(err)
	}
	cells, _ := binary.Append(nil, binary.LittleEndian, p.cells)
	points, _ := binary.Append(nil, binary.LittleEndian, p.points)
	members := w.data.Bytes()
	f := p.footer
	f.Cells = headerSize + int64(len(p.windows))
	f.Points = f.Cells + int64(len(cells))
	f.Members = f.Points + int64(len(points))
	f.CellCount, f.PointCount = int64(len(p.cells)), int64(len(p.points))
	f.CellsSum, f.PointsSum, f.MembersSum = crc32.ChecksumIEEE(cells), crc32.ChecksumIEEE(points), crc32.ChecksumIEEE(members)
	return slices.Concat(p.header.seal(), p.windows, cells, points, members, f.seal())
}

// forgery is one change of an index, at a place and by an amount that a fuzzer chooses.
type forgery struct {
	name   string
	change func(p *indexParts, place, amount int)
}

// forgeMember changes one member.
func forgeMember(name string, change func(m *Member, amount int)) forgery {
	return forgery{name, func(p *indexParts, place, amount int) {
		if len(p.members) > 0 {
			change(p.members[place%len(p.members)], amount)
		}
	}}
}

// forgePoint changes one access point.
func forgePoint(name string, change func(p *accessPoint, amount int)) forgery {
	return forgery{name, func(p *indexParts, place, amount int) {
		if len(p.points) > 0 {
			change(&p.points[place%len(p.points)], amount)
		}
	}}
}

var forgeries = []forgery{
	{"fewer members are counted", func(p *indexParts, place, _ int) { p.footer.MemberCount -= int64(1 + place) }},
	{"more members are counted", func(p *indexParts, place, _ int) { p.footer.MemberCount += int64(1 + place) }},
	{"a member is left out", func(p *indexParts, place, _ int) { p.drop(place) }},
	{"the last members are left out", func(p *indexParts, _, amount int) {
		for range 1 + amount%3 {
			p.drop(len(p.members) - 1)
		}
		p.footer.End = p.end()
	}},
	{"a member covers those behind it", func(p *indexParts, place, amount int) {
		place %= max(1, len(p.members)-1)
		for range 1 + amount%3 {
			if place+1 < len(p.members) {
				m, next := p.members[place], p.members[place+1]
				m.Size, m.end = next.end-m.Offset, next.end
				p.drop(place + 1)
			}
		}
	}},
	{"the last member covers the end", func(p *indexParts, _, amount int) {
		if last := len(p.members) - 1; last >= 0 {
			m := p.members[last]
			m.Size += int64(1+amount%4) * blockSize
			m.end = roundUp(m.Offset + m.Size)
			p.footer.End = m.end
		}
	}},
	{"two members change places", func(p *indexParts, place, amount int) {
		if n := len(p.members); n > 0 {
			one, two := p.members[place%n], p.members[amount%n]
			*one, *two = *two, *one
		}
	}},
	{"two names change places", func(p *indexParts, place, amount int) {
		if n := len(p.members); n > 0 {
			one, two := p.members[place%n], p.members[amount%n]
			one.Name, two.Name = two.Name, one.Name
		}
	}},
	{"a member stands twice", func(p *indexParts, place, amount int) {
		if n := len(p.members); n > 0 {
			p.members = slices.Insert(p.members, amount%n, p.members[place%n])
			p.footer.MemberCount++
		}
	}},
	forgeMember("a name", func(m *Member, amount int) { m.Name = fmt.Sprint("other", amount) }),
	forgeMember("a link", func(m *Member, amount int) { m.Link = fmt.Sprint("other", amount) }),
	forgeMember("a type", func(m *Member, amount int) {
		m.Type = []Type{File, Directory, Symlink, Hardlink, Device, FIFO, Other, "none"}[amount%8]
	}),
	forgeMember("a type without data", func(m *Member, amount int) { m.Type, m.Size, m.end = Directory, 0, m.Offset }),
	forgeMember("a size", func(m *Member, amount int) { m.Size += int64(amount - 128) }),
	forgeMember("a sparse member", func(m *Member, _ int) { m.isSparse = !m.isSparse }),
	forgeMember("a header", func(m *Member, amount int) { m.Header += int64(amount-128) * blockSize }),
	forgeMember("a place of data", func(m *Member, amount int) { m.Offset += int64(amount-128) * blockSize }),
	forgeMember("an end", func(m *Member, amount int) { m.end += int64(amount-128) * blockSize }),
	forgeMember("a time", func(m *Member, amount int) { m.ModTime = m.ModTime.Add(time.Duration(amount) * time.Second) }),
	forgeMember("a format", func(m *Member, amount int) { m.Content.Format = stream.Format(amount % 4) }),
	forgeMember("a compression", func(m *Member, amount int) { m.Content.Compression = stream.Compression(amount % 6) }),
	forgeMember("a first packet", func(m *Member, amount int) { m.Content.First += int64(amount) << 30 }),
	forgeMember("no first packet", func(m *Member, _ int) { m.Content.HasFirst = false }),
	forgeMember("a link type", func(m *Member, amount int) { m.Content.LinkTypes = []stream.LinkType{stream.LinkType(amount)} }),
	forgePoint("the offset of a point", func(p *accessPoint, amount int) { p.Offset += int64(amount-128) << 10 }),
	forgePoint("the bit of a point", func(p *accessPoint, amount int) { p.Bit += int64(amount - 128) }),
	forgePoint("the window of a point", func(p *accessPoint, amount int) { p.Window += int64(amount - 128) }),
	forgePoint("the length of a window", func(p *accessPoint, amount int) { p.WindowLength += uint32(amount - 128) }),
	forgePoint("the checksum of a point", func(p *accessPoint, amount int) { p.Sum ^= 1 << (amount % 32) }),
	{"a point is left out", func(p *indexParts, place, _ int) {
		if n := len(p.points); n > 0 {
			p.points = slices.Delete(p.points, place%n, place%n+1)
		}
	}},
	{"two points change places", func(p *indexParts, place, amount int) {
		if n := len(p.points); n > 0 {
			one, two := &p.points[place%n], &p.points[amount%n]
			one.Bit, one.Window, one.WindowLength, two.Bit, two.Window, two.WindowLength = two.Bit, two.Window, two.WindowLength, one.Bit, one.Window, one.WindowLength
		}
	}},
	{"a window", func(p *indexParts, place, amount int) {
		if n := len(p.windows); n > 0 {
			p.windows[place*n/256] ^= byte(amount)
		}
	}},
	{"a cell", func(p *indexParts, place, amount int) {
		if n := len(p.cells); n > 0 {
			p.cells[place%n] ^= 1 << (amount % 32)
		}
	}},
	{"two cells change places", func(p *indexParts, place, amount int) {
		if n := len(p.cells); n > 0 {
			p.cells[place%n], p.cells[amount%n] = p.cells[amount%n], p.cells[place%n]
		}
	}},
	{"the size of the tarball", func(p *indexParts, place, amount int) {
		p.footer.PlainSize += int64(amount-128) * []int64{1, blockSize, cellSize}[place%3]
	}},
	{"the tarball ends with a cell", func(p *indexParts, _, _ int) {
		if n := len(p.cells) - 1; n > 0 {
			p.cells, p.footer.PlainSize = p.cells[:n], int64(n)*cellSize
		}
	}},
	{"a member that is cut", func(p *indexParts, place, _ int) {
		if n := len(p.members); n > 0 {
			place %= n
			m := p.members[place]
			m.Size, m.end = p.footer.PlainSize, p.footer.PlainSize
			p.members = p.members[:place+1]
			p.footer.MemberCount, p.footer.End = int64(place)+1, m.end
			p.addDamage(m.end)
		}
	}},
	{"damage", func(p *indexParts, place, _ int) {
		if n := len(p.members); n > 0 {
			p.addDamage(p.members[place%n].Header)
		}
	}},
	{"where the members end", func(p *indexParts, _, amount int) { p.footer.End += int64(amount-128) * blockSize }},
	{"the compression of the archive", func(p *indexParts, _, amount int) { p.header.Compression = uint32(amount % 7) }},
	{"the choice of -i", func(p *indexParts, _, _ int) { p.header.IgnoreZeros ^= 1 }},
}

func (p *indexParts) drop(place int) {
	if n := len(p.members); n > 0 {
		place %= n
		p.members = slices.Delete(p.members, place, place+1)
		p.footer.MemberCount--
	}
}

func (p *indexParts) addDamage(offset int64) {
	p.damages = append(p.damages[:len(p.damages):len(p.damages)], &Damage{Offset: offset, Truncated: true})
	p.footer.DamageCount++
}

func (p *indexParts) end() int64 {
	if len(p.members) == 0 {
		return 0
	}
	return p.members[len(p.members)-1].end
}

// forgedArchive is an archive, its index, and its members as read without the index.
type forgedArchive struct {
	path    string
	parts   *indexParts
	members []file
}

// forgedArchives are archives with members of all kinds, before and after captures.
func forgedArchives(t testing.TB) (archives []*forgedArchive) {
	t.Helper()
	_, pairs := noisyTar(t, 3, 450_000)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, data string) {
		h.Size, h.Mode, h.ModTime = int64(len(data)), 0o644, time.Unix(1600000000, 0)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "of all"}}); err != nil {
		t.Fatal(err)
	}
	add(tar.Header{Name: "folder/", Typeflag: tar.TypeDir}, "")
	for i := 0; i < len(pairs); i += 2 {
		add(tar.Header{Name: "notes" + pairs[i]}, "no capture")
		add(tar.Header{Name: pairs[i]}, pairs[i+1])
		add(tar.Header{Name: "link" + pairs[i], Typeflag: tar.TypeLink, Linkname: pairs[i]}, "")
		add(tar.Header{Name: pairs[i] + ".gz"}, string(gzipped(t, []byte(capture(3)))))
	}
	add(tar.Header{Name: "empty.pcap"}, "")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a.tar": b.Bytes(), "a.tar.gz": gzipped(t, b.Bytes())} {
		path := buildIndex(t, name, data)
		members, said := walk(t, data)
		if said != nil || len(members) != 14 {
			t.Fatal(len(members), said)
		}
		archives = append(archives, &forgedArchive{path: path, parts: takeApart(t, path), members: members})
	}
	return archives
}

// check reads an archive by a forged index. Either the index is refused, or all members are
// as read without an index.
func (a *forgedArchive) check(index []byte) (wrong string, refused error) {
	if err := os.WriteFile(IndexPath(a.path), index, 0o666); err != nil {
		return err.Error(), nil
	}
	x, err := OpenIndexed(a.path)
	if err != nil {
		return "", err
	}
	defer x.Close()
	members, err := membersOf(x)
	if err != nil {
		return fmt.Sprint("the members were not checked at first: ", err), nil
	}
	for _, m := range members {
		opened, err := x.Open(m)
		if err != nil {
			refused = err
			continue
		}
		data, err := io.ReadAll(opened)
		opened.Close()
		if err != nil {
			refused = err
		} else if !a.has(m, data) {
			return fmt.Sprintf("wrong bytes of %q at offset %d", m.Name, m.Header), nil
		}
	}
	for _, readsAll := range []bool{false, true} {
		wrong, failed := a.walk(x, members, readsAll)
		if wrong != "" {
			return wrong, nil
		}
		if failed != nil {
			refused = failed
		} else if len(members) != len(a.members) {
			return fmt.Sprintf("%d members, wanted %d", len(members), len(a.members)), nil
		}
	}
	return "", refused
}

// walk goes through all members, and reads all or only those that the index calls
// captures.
func (a *forgedArchive) walk(x *Indexed, members []*Member, readsAll bool) (wrong string, refused error) {
	r := x.NewReader(members)
	defer r.Close()
	for {
		m, err := r.Next()
		if err == io.EOF {
			return "", r.CheckSkipped()
		}
		if err != nil {
			return "", err
		}
		if !readsAll && !m.Content.IsCapture() {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return "", err
		}
		if !a.has(m, data) {
			return fmt.Sprintf("wrong bytes of %q at offset %d", m.Name, m.Header), nil
		}
	}
}

func (a *forgedArchive) has(m *Member, data []byte) bool {
	for _, f := range a.members {
		if f.Header == m.Header && f.Name == m.Name && f.Type == m.Type && f.Size == m.Size && bytes.Equal(f.data, data) {
			return true
		}
	}
	return false
}

// Every kind of forgery is refused, in an index whose checksums are right.
func TestForgedIndexIsRefused(t *testing.T) {
	for _, a := range forgedArchives(t) {
		if wrong, refused := a.check(a.parts.seal(t)); refused != nil || wrong != "" {
			t.Fatalf("%s: %v %s", a.path, refused, wrong)
		}
		same := a.parts.seal(t)
		for _, f := range forgeries {
			for place := range 2 {
				forged := a.parts.clone()
				f.change(forged, 3*place, 130+place)
				index := forged.seal(t)
				wrong, refused := a.check(index)
				if wrong != "" {
					t.Errorf("%s: %s (%d): %s", a.path, f.name, place, wrong)
				}
				if refused == nil && !bytes.Equal(index, same) {
					t.Logf("%s: %s (%d): harmless", a.path, f.name, place)
				}
			}
		}
	}
}

// FuzzIndex forges an index and makes its checksums right.
func FuzzIndex(f *testing.F) {
	archives := forgedArchives(f)
	for i := range forgeries {
		f.Add([]byte{byte(i), 1, 200})
	}
	f.Add(bytes.Repeat([]byte{3, 0, 2}, 5))      // no member is left
	f.Add([]byte{19, 2, 0, 19, 6, 0, 19, 10, 0}) // no member is a capture
	f.Fuzz(func(t *testing.T, steps []byte) {
		for _, a := range archives {
			forged := a.parts.clone()
			for i := 0; i+2 < min(len(steps), 3*8); i += 3 {
				forgeries[int(steps[i])%len(forgeries)].change(forged, int(steps[i+1]), int(steps[i+2]))
			}
			if wrong, _ := a.check(forged.seal(t)); wrong != "" {
				t.Fatalf("%s: %s", a.path, wrong)
			}
		}
	})
}
