package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// file is a member that was read.
type file struct {
	*Member
	data []byte
}

// walk reads a tarball to its end, and returns its members and errors.
func walk(t testing.TB, tarball []byte) (files []file, said []error) {
	t.Helper()
	return walkReader(t, bytes.NewReader(tarball), false)
}

func walkReader(t testing.TB, src io.Reader, ignoreZeros bool) (files []file, said []error) {
	t.Helper()
	r, err := NewReader(src)
	if err != nil {
		return nil, []error{err}
	}
	defer r.Close()
	r.IgnoreZeros = ignoreZeros
	for {
		m, err := r.Next()
		if err == nil {
			stored, storedErr := r.Stored()
			data, readErr := io.ReadAll(r)
			checkStored(t, stored, storedErr, data, readErr)
			files = append(files, file{m, data})
			if err = readErr; err == nil {
				continue
			}
		}
		if err == io.EOF {
			return files, said
		}
		said = append(said, err)
		if !isPassable(err) || len(said) > 10_000 {
			return files, said
		}
	}
}

// checkStored compares the data of Stored with the data that was read.
func checkStored(t testing.TB, stored *io.SectionReader, storedErr error, data []byte, readErr error) {
	t.Helper()
	if storedErr != nil {
		t.Errorf("Stored: %v", storedErr)
	}
	if stored == nil {
		return
	}
	standing, _ := io.ReadAll(stored)
	if !bytes.Equal(standing, data) || readErr == nil && stored.Size() != int64(len(data)) {
		t.Errorf("%d of %d bytes are stored, and %d read", len(standing), stored.Size(), len(data))
	}
}

func isPassable(err error) bool {
	var damage *Damage
	var another *TrailingError
	var trailing *stream.TrailingError
	return errors.As(err, &damage) || errors.As(err, &another) || errors.As(err, &trailing)
}

// makeTar makes a tarball of pairs of name and content.
func makeTar(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		header := &tar.Header{Name: pairs[i], Size: int64(len(pairs[i+1])), Mode: 0o644, ModTime: time.Unix(1600000000, 0)}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func capture(packets int) string {
	return string(lab.Pcap(lab.Packets(packets, lab.Start, time.Millisecond, 100), binary.LittleEndian, true))
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// checkFiles compares members with pairs of name and content.
func checkFiles(t *testing.T, files []file, pairs ...string) {
	t.Helper()
	if len(files)*2 != len(pairs) {
		t.Fatalf("got %d members, wanted %d", len(files), len(pairs)/2)
	}
	for i, f := range files {
		if f.Name != pairs[2*i] || string(f.data) != pairs[2*i+1] {
			t.Fatalf("member %d: %q with %d bytes, wanted %q with %d", i, f.Name, len(f.data), pairs[2*i], len(pairs[2*i+1]))
		}
	}
}

func TestCutAnywhere(t *testing.T) {
	pairs := []string{"a.pcap", capture(3), "empty", "", strings.Repeat("long/", 40) + "b.pcap", capture(5), "c", "x"}
	whole := makeTar(t, pairs...)
	marker := len(whole) - 2*blockSize
	all, said := walk(t, whole)
	if said != nil {
		t.Fatal(said)
	}
	checkFiles(t, all, pairs...)
	for _, compressed := range []bool{false, true} {
		for cut := 1; cut < len(whole); cut += 6 {
			tarball := whole[:cut]
			if compressed {
				tarball = gzipped(t, tarball)
				tarball = tarball[:len(tarball)-8] // without checksum and length, as a cut file is
			}
			files, said := walk(t, tarball)
			for i, f := range files {
				if f.Name != all[i].Name || !bytes.HasPrefix(all[i].data, f.data) {
					t.Fatalf("cut at %d: member %d is %q", cut, i, f.Name)
				}
				whole := all[i].Offset+all[i].Size <= int64(cut)
				if readable := max(0, min(all[i].Size, int64(cut)-all[i].Offset)); int64(len(f.data)) != readable {
					t.Fatalf("cut at %d: %q has %d bytes, wanted %d (whole: %v)", cut, f.Name, len(f.data), readable, whole)
				}
			}
			for i := len(files); i < len(all); i++ {
				if all[i].Offset <= int64(cut) {
					t.Fatalf("cut at %d: %q is missing", cut, all[i].Name)
				}
			}
			if !compressed && cut >= marker+blockSize {
				if said != nil {
					t.Fatalf("cut at %d, inside the end marker: %v", cut, said)
				}
				continue
			}
			if len(said) != 1 {
				t.Fatalf("cut at %d (compressed: %v): said %q", cut, compressed, said)
			}
			if damage := (*Damage)(nil); !errors.As(said[0], &damage) || !damage.Truncated || damage.Offset > int64(cut) {
				if cut < blockSize && errors.Is(said[0], ErrNotArchive) {
					continue
				}
				t.Fatalf("cut at %d (compressed: %v): said %q", cut, compressed, said)
			}
		}
	}
}

func TestInputsThatAreNoTarballs(t *testing.T) {
	for name, input := range map[string]string{
		"text": "hello\n", "long text": strings.Repeat("hello\n", 1000), "capture": capture(10),
		"gzip of text": string(gzipped(t, []byte("hello"))), "one byte": "x",
	} {
		if files, said := walk(t, []byte(input)); len(files) > 0 || len(said) != 1 || !errors.Is(said[0], ErrNotArchive) {
			t.Errorf("%s: %d members, said %q", name, len(files), said)
		}
	}
	for name, input := range map[string][]byte{
		"nothing": nil, "end marker": make([]byte, 1024), "blocking factor": make([]byte, 10240), "gzip of nothing": gzipped(t, nil),
	} {
		if files, said := walk(t, input); len(files) > 0 || said != nil {
			t.Errorf("%s: %d members, said %q", name, len(files), said)
		}
	}
}

func TestGoesOnBehindDamage(t *testing.T) {
	a, b, c := capture(3), capture(40), capture(5)
	whole := makeTar(t, "a", a, "b", b, "c", c)
	files, _ := walk(t, whole)
	damaged := bytes.Clone(whole)
	damaged[files[1].Header] ^= 1
	got, said := walk(t, damaged)
	checkFiles(t, got, "a", a, "c", c)
	damage := (*Damage)(nil)
	if len(said) != 1 || !errors.As(said[0], &damage) || damage.Offset != files[1].Header || damage.Lost != files[2].Header-files[1].Header {
		t.Errorf("header of the second member: said %q", said)
	}
	for i := range damaged[:blockSize] {
		damaged[i] = 0xff
	}
	got, said = walk(t, damaged)
	checkFiles(t, got, "c", c)
	if len(said) != 1 {
		t.Errorf("headers of the first and the second member: said %q", said)
	}
	damaged = bytes.Clone(whole)
	damaged[files[2].Header+blockSize-400] ^= 1
	got, said = walk(t, damaged)
	checkFiles(t, got, "a", a, "b", b)
	if len(said) != 1 || !errors.As(said[0], &damage) || damage.Offset != files[2].Header {
		t.Errorf("header of the last member: said %q", said)
	}
}

func TestWhatFollowsTheEnd(t *testing.T) {
	a, b := makeTar(t, "a", "1"), makeTar(t, "b", "2")
	both := append(bytes.Clone(a), b...)
	files, said := walk(t, both)
	checkFiles(t, files, "a", "1")
	trailing := (*TrailingError)(nil)
	if len(said) != 1 || !errors.As(said[0], &trailing) || !trailing.Archive || trailing.Offset != int64(len(a)) {
		t.Errorf("another tarball: said %q", said)
	}
	files, said = walkReader(t, bytes.NewReader(both), true)
	checkFiles(t, files, "a", "1", "b", "2")
	if said != nil {
		t.Errorf("another tarball, wanted: said %q", said)
	}
	files, said = walk(t, append(bytes.Clone(a), strings.Repeat("junk", 500)...))
	checkFiles(t, files, "a", "1")
	if len(said) != 1 || !errors.As(said[0], &trailing) || trailing.Archive {
		t.Errorf("junk: said %q", said)
	}
	files, said = walk(t, append(gzipped(t, a), "junk"...))
	checkFiles(t, files, "a", "1")
	compressed := (*stream.TrailingError)(nil)
	if len(said) != 1 || !errors.As(said[0], &compressed) {
		t.Errorf("junk behind gzip: said %q", said)
	}
	files, said = walk(t, append(gzipped(t, a[:1500]), gzipped(t, a[1500:])...))
	checkFiles(t, files, "a", "1")
	if said != nil {
		t.Errorf("two members of gzip: said %q", said)
	}
	damaged := gzipped(t, a)
	damaged[len(damaged)-6] ^= 1
	files, said = walk(t, damaged)
	checkFiles(t, files, "a", "1")
	if damage := (*Damage)(nil); len(said) != 1 || !errors.As(said[0], &damage) {
		t.Errorf("a bad checksum of gzip: said %q", said)
	}
}

func TestInspect(t *testing.T) {
	plain := capture(9)
	tarball := makeTar(t, "plain", plain, "gzip", string(gzipped(t, []byte(plain))), "text", "hello", "no packets", plain[:24], "cut", plain[:150])
	r, err := NewReader(bytes.NewReader(tarball))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []Content{
		{Format: stream.FormatPcapNano, First: lab.Start, HasFirst: true, LinkTypes: []stream.LinkType{1}},
		{Format: stream.FormatPcapNano, First: lab.Start, HasFirst: true, LinkTypes: []stream.LinkType{1}, Compression: stream.Gzip},
		{},
		{Format: stream.FormatPcapNano, LinkTypes: []stream.LinkType{1}},
		{Format: stream.FormatPcapNano, First: lab.Start, HasFirst: true, LinkTypes: []stream.LinkType{1}},
	} {
		m, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		r.Inspect()
		if fmt.Sprint(m.Content) != fmt.Sprint(want) {
			t.Errorf("%s: got %+v, wanted %+v", m.Name, m.Content, want)
		}
		data, err := io.ReadAll(r)
		if err != nil || int64(len(data)) != m.Size || !bytes.Equal(data, tarball[m.Offset:][:m.Size]) {
			t.Errorf("%s: %d bytes of %d behind Inspect, error %v", m.Name, len(data), m.Size, err)
		}
	}
}

// TestAgreesWithTar compares with tar what both read from rare kinds of tarballs.
func TestAgreesWithTar(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("no tar here")
	}
	dir := t.TempDir()
	long := strings.Repeat("a-long-folder-name/", 12)
	for name, content := range map[string]string{
		"a.pcap": capture(3), long + "b.pcap": capture(4), "b\xff\xfe.pcap": capture(5), "empty": "",
		"new\nline": capture(6), "utf-8 \u00e4.pcap": capture(7),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(9) { // more than a header has room for
		sparse.WriteAt([]byte(capture(1)), i<<18)
	}
	sparse.Truncate(10 << 18)
	sparse.Close()
	os.Symlink("a.pcap", filepath.Join(dir, "symlink"))
	os.Link(filepath.Join(dir, "a.pcap"), filepath.Join(dir, "hard.pcap"))
	for _, flags := range [][]string{
		{"--format=gnu"}, {"--format=oldgnu"}, {"--format=posix"}, {"--format=gnu", "-S"}, {"--format=oldgnu", "-S"},
		{"--format=posix", "-S"}, {"--format=posix", "-S", "--sparse-version=0.0"}, {"--format=posix", "-S", "--sparse-version=0.1"},
		{"--format=ustar", "--exclude=a-long*"}, {"--format=v7", "--exclude=a-long*"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			tarball, err := exec.Command("tar", append(flags, "-C", dir, "-cf", "-", ".")...).Output()
			if err != nil {
				t.Fatal(err)
			}
			if !IsArchive(tarball) {
				t.Error("IsArchive: no")
			}
			extract := exec.Command("tar", "-xOf", "-")
			extract.Stdin = bytes.NewReader(tarball)
			want, err := extract.Output()
			if err != nil {
				t.Fatal(err)
			}
			for name, src := range map[string]io.Reader{
				"file": bytes.NewReader(tarball), "pipe": io.MultiReader(bytes.NewReader(tarball)), "gzip": bytes.NewReader(gzipped(t, tarball)),
			} {
				files, said := walkReader(t, src, false)
				var got []byte
				for _, f := range files {
					got = append(got, f.data...)
					if int64(len(f.data)) != f.Size {
						t.Errorf("%s: %q has %d bytes, and its size says %d", name, f.Name, len(f.data), f.Size)
					}
				}
				if said != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes in %d members, tar gives %d; said %q", name, len(got), len(files), len(want), said)
				}
			}
		})
	}
}

// Headers that archive/tar refuses or takes for a file, and that tar reads.
func TestHeadersOfOtherPrograms(t *testing.T) {
	long := strings.Repeat("d/", 20) + "long.pcap"
	solaris := append(paxHeader(t, "path", long), makeTar(t, "short.pcap", capture(3), "last.pcap", capture(4))...)
	solaris[156] = 'X'
	setChecksum(solaris[:blockSize])

	devices := append(paxHeader(t, "path", long), makeTar(t, "short.pcap", capture(3), "last.pcap", capture(4))...)
	for _, at := range []int{0, 2 * blockSize} { // of the extended header and of the member
		copy(devices[at+329:], "\xde\xad\xbe\xefgarbage of an old")
		setChecksum(devices[at:][:blockSize])
	}
	for name, tarball := range map[string][]byte{"extended header of Solaris": solaris, "device numbers of a file": devices} {
		for kind, src := range map[string]io.Reader{
			"file": bytes.NewReader(tarball), "pipe": iotest.OneByteReader(bytes.NewReader(tarball)), "gzip": bytes.NewReader(gzipped(t, tarball)),
		} {
			files, said := walkReader(t, src, false)
			if len(files) != 2 || said != nil || files[0].Name != long || string(files[0].data) != capture(3) ||
				files[1].Name != "last.pcap" || string(files[1].data) != capture(4) {
				t.Errorf("%s, %s: %d members, said %q", name, kind, len(files), said)
			}
		}
	}
}

// withChecksums corrects the checksums of changed headers. Otherwise nothing after the first
// change would be tested.
func withChecksums(tarball []byte) []byte {
	tarball = bytes.Clone(tarball)
	for at := 0; at+blockSize <= len(tarball); at += blockSize {
		header := tarball[at:][:blockSize]
		if string(header[257:262]) != "ustar" {
			continue
		}
		copy(header[checksumStart:checksumEnd], "        ")
		sum := 0
		for _, b := range header {
			sum += int(b)
		}
		copy(header[checksumStart:], fmt.Sprintf("%06o\x00 ", sum))
	}
	return tarball
}

func FuzzReader(f *testing.F) {
	f.Add(makeTar(f, "a.pcap", capture(2), strings.Repeat("long/", 40)+"b", "x"))
	if sparse, err := os.ReadFile("testdata/sparse.tar"); err == nil {
		f.Add(sparse)
	}
	f.Fuzz(func(t *testing.T, tarball []byte) {
		tarball = withChecksums(tarball)
		r, err := NewReader(bytes.NewReader(tarball))
		if err != nil {
			return
		}
		defer r.Close()
		previous := int64(0)
		for calls := 0; ; calls++ {
			if calls > len(tarball)+1_000_000 {
				t.Fatal("no end")
			}
			m, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				if !isPassable(err) {
					return
				}
				continue
			}
			if m.Header < previous || m.Offset <= m.Header || m.Size < 0 {
				t.Fatalf("%+v behind offset %d", m, previous)
			}
			previous = m.Offset
			r.Inspect()
			n, err := io.CopyN(io.Discard, r, min(m.Size, 1<<20)) // holes are as large as they say
			if err == nil && n < min(m.Size, 1<<20) {
				t.Fatalf("%d of %d bytes, and no error", n, m.Size)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("behind the end: %v", err)
		}
	})
}

// hugeTar makes a tarball whose second member claims an impossible size, as a number of GNU
// tar or as a PAX record.
func hugeTar(t *testing.T, size uint64, isPAX bool) []byte {
	t.Helper()
	tarball := makeTar(t, "first.pcap", capture(2), "huge.pcap", capture(20))
	start := blockSize + int(roundUp(int64(len(capture(2)))))
	header := tarball[start : start+blockSize]
	var extension []byte
	if isPAX {
		extension = paxHeader(t, "size", fmt.Sprint(size))
	} else {
		copy(header[124:136], "\x80\x00\x00\x00")
		binary.BigEndian.PutUint64(header[128:], size)
	}
	setChecksum(header)
	return append(append(bytes.Clone(tarball[:start]), extension...), tarball[start:]...)
}

func setChecksum(header []byte) {
	copy(header[checksumStart:checksumEnd], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[checksumStart:checksumEnd], fmt.Sprintf("%06o\x00 ", sum))
}

// A member that claims more data than the tarball has ends with the tarball. This holds for a
// file, in which data is skipped by seeking, and for a pipe.
func TestMembersOfImpossibleSize(t *testing.T) {
	for _, size := range []uint64{1 << 40, 1 << 62, 1<<63 - 1024, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		for _, isPAX := range []bool{false, true} {
			tarball := hugeTar(t, size, isPAX)
			for _, reads := range []bool{false, true} {
				for what, src := range map[string]io.Reader{"file": bytes.NewReader(tarball), "pipe": io.MultiReader(bytes.NewReader(tarball)), "gzip": bytes.NewReader(gzipped(t, tarball))} {
					what := fmt.Sprintf("%d in a %s, PAX: %v, read: %v", size, what, isPAX, reads)
					r, err := NewReader(src)
					if err != nil {
						t.Fatal(err)
					}
					members, data, damages := 0, 0, []*Damage(nil)
					for err == nil {
						var n int64
						if _, err = r.Next(); err == nil {
							members++
							r.Inspect()
							if reads {
								n, err = io.Copy(io.Discard, r)
								data += int(n)
							}
						}
						if damage := (*Damage)(nil); errors.As(err, &damage) {
							damages, err = append(damages, damage), nil
						}
					}
					if err != io.EOF || len(damages) == 0 {
						t.Errorf("%s: %v, damage %v", what, err, damages)
						continue
					}
					if size >= 1<<63 {
						continue // no header has that size: the rest is passed over
					}
					end := int64(len(tarball))
					if d := damages[0]; members != 2 || len(damages) != 1 || d.Offset != end || !d.Truncated || d.Lost < 1<<39 {
						t.Errorf("%s: %d members, damage %v, wanted one at offset %d", what, members, damages, end)
					}
					if reads && data < len(capture(2))+len(capture(20)) {
						t.Errorf("%s: %d bytes read", what, data)
					}
				}
			}
		}
	}
}

// paxHeader makes an extended header of records.
func paxHeader(t *testing.T, pairs ...string) []byte {
	t.Helper()
	records := ""
	for i := 0; i < len(pairs); i += 2 {
		rest := fmt.Sprintf(" %s=%s\n", pairs[i], pairs[i+1])
		length := len(rest) + 2
		if length > 99 {
			t.Fatal("a record of three digits")
		}
		records += fmt.Sprint(length) + rest
	}
	header := makeTar(t, "pax", records)
	header = header[:len(header)-2*blockSize]
	header[156] = 'x'
	setChecksum(header[:blockSize])
	return header
}

// sparseTar makes a tarball of a sparse member that claims a size, and another member.
func sparseTar(t *testing.T, size int64) []byte {
	t.Helper()
	pieces := fmt.Sprintf("1\n0\n%d\n", len(capture(3)))
	data := pieces + strings.Repeat("\x00", blockSize-len(pieces)) + capture(3)
	header := paxHeader(t, "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "sparse.pcap", "GNU.sparse.realsize", fmt.Sprint(size))
	tarball := append(header, makeTar(t, "sparse.pcap", data, "behind.pcap", capture(5))...)
	copy(tarball[len(header)+257:], "ustar\x0000")
	setChecksum(tarball[len(header):][:blockSize])
	return tarball
}

// A sparse member may claim too many zeros to read.
func TestSparseMemberIsBounded(t *testing.T) {
	for size, bounded := range map[int64]bool{1 << 20: false, maxSparseSize + 1: true, 1<<63 - 1: true} {
		files, said := walk(t, sparseTar(t, size))
		if len(files) != 2 || files[0].Size != size || string(files[1].data) != capture(5) {
			t.Fatalf("%d bytes: %d members, %v", size, len(files), said)
		}
		var damage *Damage
		if isBounded := len(said) == 1 && errors.As(said[0], &damage) && damage.Offset == files[0].Offset; isBounded != bounded {
			t.Errorf("%d bytes: %v", size, said)
		}
	}
}
