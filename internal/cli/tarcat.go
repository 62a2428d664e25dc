package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// TarCat is pcap-tarcat.
func TarCat() *Tool {
	return &Tool{
		Name:     "pcap-tarcat",
		Usage:    "write members of a tarball as one stream, or extract them",
		Operands: "[ARCHIVE [REGEXP ...]]",
		Text: "Takes the members whose name matches a regular expression, is given with --name or stands in\n" +
			"the records of --select; without any of these, every capture. Members are decompressed and follow\n" +
			"one another as they stand in the tarball. What is no capture is left out of a stream, unless it\n" +
			"is named exactly; --raw and -C take it if an expression matches.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.StringSliceFlag{Name: "name", Usage: "take the member named `NAME` (may be given again)"},
			&cli.StringFlag{Name: "select", Usage: "take the members of the records in `FILE`, from pcap-tarls or pcap-map"},
			&cli.BoolFlag{Name: "raw", Usage: "leave compressed members as they are"},
			&cli.StringFlag{Name: "directory", Aliases: []string{"C"}, Usage: "extract into files below `DIR`"},
			&cli.StringFlag{Name: "compress", Aliases: []string{"z"}, Usage: "compress with `METHOD`: lz4, zstd or gzip"},
			&cli.StringFlag{Name: "max-bytes", Usage: "fail when more than `SIZE` would be given out: tarballs can hold far more than they take"},
			&cli.BoolFlag{Name: "list", Usage: "only print the records of what would be taken"},
			ignoreZerosFlag(),
			strictFlag(),
		},
		Run: runTarCat,
	}
}

// tarCat is one run of pcap-tarcat.
type tarCat struct {
	job         *job
	raw         bool
	compression stream.Compression
	maxBytes    int64
	choices     []archiveChoice
	records     *record.Encoder // for --list
	out         *output         // of the stream or the list
	stream      io.WriteCloser  // compresses into out
	pipe        *os.File        // stream, where it is a pipe; or nil
	folder      *folder         // for -C
	buffer      []byte

	members, taken, left atomic.Int64
	bytes                atomic.Int64 // given out, before -z
	missing              int
	noCaptures           []string             // names of wanted members that are none
	files                map[memberKey]string // of the members that were taken
}

// tarCatSummary is the last event of a report.
type tarCatSummary struct {
	record.Summary
	Members int64 `json:"members"` // that came by
	Taken   int64 `json:"taken"`
	LeftOut int64 `json:"left_out"`  // wanted, but no captures or without data
	Missing int   `json:"not_found"` // named, but not in the tarball
	Bytes   int64 `json:"bytes"`     // given out, before -z
}

func runTarCat(j *job) error {
	c := &tarCat{job: j, raw: j.flags.Bool("raw"), out: &output{}, buffer: make([]byte, stream.DefaultBlockSize), files: map[memberKey]string{}}
	if err := c.configure(); err != nil {
		return err
	}
	if err := c.openSink(); err != nil {
		return err
	}
	j.setCounters(c.counters)
	err := j.untilStopped(c.run)
	j.report.event(tarCatSummary{
		Summary: j.summary(j.exitSoFar(err)), Members: c.members.Load(), Taken: c.taken.Load(), LeftOut: c.left.Load(), Missing: c.missing, Bytes: c.bytes.Load(),
	})
	j.infof("%s", c.counters())
	return err
}

func (c *tarCat) counters() string {
	return fmt.Sprintf("%d members, %d taken, %d bytes", c.members.Load(), c.taken.Load(), c.bytes.Load())
}

func (c *tarCat) run() error {
	failed := 0
	for i := range c.choices {
		isRead, err := c.walk(&c.choices[i])
		if err != nil {
			return err
		}
		if !isRead {
			failed++
		}
	}
	if err := c.finish(); err != nil {
		return err
	}
	if failed == len(c.choices) && failed > 0 || c.missing > 0 && c.taken.Load() == 0 {
		return errReported
	}
	return c.out.commit()
}

// walk takes what is wanted of one tarball, and says whether it could be read.
func (c *tarCat) walk(wanted *archiveChoice) (isRead bool, err error) {
	j := c.job
	err = j.walkMembers(wanted.path, wanted.mayWant, func(r *archive.Reader, m *archive.Member) error { return c.visit(wanted, r, m) })
	isRead = err == nil
	if err := j.archiveFailed(wanted.path, err); err != nil {
		return isRead, err
	}
	if isRead {
		for _, reason := range wanted.notFound() {
			j.inputFailed(wanted.path, errors.New(reason))
			c.missing++
		}
		c.hintIndex(wanted)
	}
	return isRead, j.strictly()
}

// hintSize is how large an archive is at least for which an index is worth a word.
const hintSize = 256 << 20

// hintIndex says what would have made it quicker to find a few members.
func (c *tarCat) hintIndex(wanted *archiveChoice) {
	info, err := os.Stat(wanted.path)
	if wanted.all || len(wanted.patterns) > 0 || c.job.quiet || wanted.path == "-" || err != nil || info.Size() < hintSize {
		return
	}
	if _, err := os.Stat(archive.IndexPath(wanted.path)); errors.Is(err, fs.ErrNotExist) {
		c.job.say(fmt.Sprintf("hint: pcap-tarls --index %s makes an index: then members are reached at once", displayName(wanted.path, "")))
	}
}

// configure reads flags and operands.
func (c *tarCat) configure() (err error) {
	flags := c.job.flags
	if c.compression, err = parseCompression(flags.String("compress")); err != nil {
		return err
	}
	for _, pair := range [][2]string{{"raw", "compress"}, {"directory", "output"}, {"list", "directory"}, {"list", "compress"}} {
		if flags.IsSet(pair[0]) && flags.IsSet(pair[1]) {
			return usageErrorf("--%s and --%s do not go together", pair[0], pair[1])
		}
	}
	c.maxBytes = math.MaxInt64
	if flags.IsSet("max-bytes") {
		if c.maxBytes, err = parseSize("max-bytes", flags.String("max-bytes")); err != nil {
			return err
		}
	}
	c.choices, err = c.job.archiveChoices()
	return err
}

// openSink opens what members go to.
func (c *tarCat) openSink() (err error) {
	j := c.job
	paths := make([]string, len(c.choices))
	for i := range c.choices {
		paths[i] = c.choices[i].path
	}
	defer func() { j.progress.start(j.totalSize(paths), nil) }()
	directory := j.flags.String("directory")
	if directory != "" {
		if c.folder, err = openFolder(directory); err != nil {
			return usageErrorf("-C %s: %w", directory, err)
		}
		j.onEnd(c.folder.clean)
		return nil
	}
	list := j.flags.Bool("list")
	if c.out, err = j.openOutput(!list); err != nil {
		return err
	}
	if list {
		c.records = record.NewEncoder(c.out)
		return nil
	}
	if c.compression == stream.Uncompressed && streamMode(c.out.Writer)&fs.ModeNamedPipe != 0 {
		c.pipe = c.out.Writer.(*os.File)
	}
	c.stream, err = stream.Compress(c.out, c.compression)
	return err
}

// visit takes a member if it is wanted.
func (c *tarCat) visit(wanted *archiveChoice, r *archive.Reader, m *archive.Member) error {
	if err := c.job.strictly(); err != nil {
		return asOutputError(err)
	}
	c.members.Add(1)
	takes, exactly := wanted.wants(m)
	if takes {
		if err := c.consider(wanted, r, m, exactly); err != nil {
			return err
		}
	}
	if wanted.isComplete() {
		return errEnough
	}
	return nil
}

// consider takes a wanted member if it is one to take.
func (c *tarCat) consider(wanted *archiveChoice, r *archive.Reader, m *archive.Member, exactly bool) error {
	if m.Type == archive.Hardlink && c.isTaken(wanted.path, m.Link) {
		return c.link(wanted.path, m)
	}
	if m.Type != archive.File {
		c.leaveOutOther(wanted, m, exactly)
		return nil
	}
	r.Inspect()
	if o := wanted.compare(m); o != nil {
		c.job.sayOutdated(input{path: m.Name, archive: wanted.path}, o)
		if err := c.job.strictly(); err != nil {
			return asOutputError(err)
		}
	}
	asItIs := exactly || !wanted.all && (c.raw || c.folder != nil)
	if !m.Content.IsCapture() && !asItIs {
		c.leaveOutOtherFile(wanted, m)
		return nil
	}
	switch {
	case c.records != nil:
		c.taken.Add(1)
		return asOutputError(c.records.Encode(memberRecord(wanted.path, m)))
	case c.folder != nil:
		return c.extract(wanted.path, r, m)
	}
	c.taken.Add(1)
	c.markTaken(wanted.path, m.Name, "")
	return c.copyMember(c.stream, wanted.path, r, m)
}

// leaveOutOtherFile passes over what is no capture. One that is called one is broken.
func (c *tarCat) leaveOutOtherFile(wanted *archiveChoice, m *archive.Member) {
	switch {
	case m.Size == 0:
		return
	case captureName.MatchString(m.Name):
		c.job.memberFailed(wanted.path, m.Name, stream.ErrNotCapture)
	default:
		c.noCaptures = append(c.noCaptures, m.Name)
	}
	c.leaveOut(wanted.path, m, "is no capture")
}

// leaveOutOther passes over what holds no data. Whoever asked for it by its name
// hears of an error.
func (c *tarCat) leaveOutOther(wanted *archiveChoice, m *archive.Member, exactly bool) {
	reason := "is a " + string(m.Type)
	if m.Link != "" {
		reason += fmt.Sprintf(" to %q", m.Link)
	}
	switch {
	case exactly:
		c.job.damaged.Store(true)
		c.job.errorf("%s: %s", displayName(m.Name, wanted.path), reason)
	case m.Type == archive.Hardlink && !wanted.all:
		c.job.warnf("%s: %s, which is left out", displayName(m.Name, wanted.path), reason)
	case m.Type == archive.Directory || wanted.all:
		return
	}
	c.leaveOut(wanted.path, m, reason)
}

// leaveOut counts and reports what was wanted and is none to take.
func (c *tarCat) leaveOut(path string, m *archive.Member, reason string) {
	c.left.Add(1)
	c.job.infof("%s: %s: left out", displayName(m.Name, path), reason)
	c.job.report.event(record.Skipped{
		Event: "skipped", Tool: c.job.tool.Name, Path: m.Name, PathRaw: record.RawName(m.Name),
		Archive: path, ArchiveRaw: record.RawName(path), Reason: reason,
	})
}

// memberKey names a member of one of several tarballs.
type memberKey struct{ archive, name string }

func (c *tarCat) isTaken(path, name string) bool {
	_, taken := c.files[memberKey{path, name}]
	return taken
}

func (c *tarCat) markTaken(path, name, file string) { c.files[memberKey{path, name}] = file }

// link gives a file that was extracted another name. In a stream its packets are
// already there.
func (c *tarCat) link(path string, m *archive.Member) error {
	if c.folder == nil {
		return nil
	}
	name, err := c.folder.link(c.files[memberKey{path, m.Link}], c.fileName(m))
	if err != nil {
		c.leaveOut(path, m, err.Error())
		c.job.memberFailed(path, m.Name, err)
		return nil
	}
	c.extracted(path, m, name)
	return nil
}

// extract writes a member to a file of its own.
func (c *tarCat) extract(path string, r *archive.Reader, m *archive.Member) error {
	file, err := c.folder.create(c.fileName(m))
	if isFull(err) {
		return c.folder.named(c.fileName(m), err)
	}
	if err != nil {
		c.leaveOut(path, m, err.Error())
		c.job.memberFailed(path, m.Name, err)
		return nil
	}
	compressor, err := stream.Compress(file, c.compression)
	if err == nil {
		err = c.copyMember(compressor, path, r, m)
	}
	if err == nil {
		err = asOutputError(compressor.Close())
	}
	if err == nil {
		err = asOutputError(file.commit(m.ModTime))
	}
	if err != nil {
		c.folder.clean()
		return c.folder.named(file.name, err)
	}
	c.taken.Add(1)
	c.extracted(path, m, file.name)
	return nil
}

// extracted says where a member is, if that is not where it should be.
func (c *tarCat) extracted(path string, m *archive.Member, file string) {
	c.markTaken(path, m.Name, file)
	if wanted := localName(c.fileName(m)); file != wanted {
		c.job.warnf("%s: %q is there already: extracted as %q", displayName(path, ""), wanted, file)
	}
}

// extensions are those of compressed files.
var extensions = map[stream.Compression]string{
	stream.Gzip: ".gz", stream.LZ4: ".lz4", stream.Zstd: ".zst", stream.XZ: ".xz", stream.Bzip2: ".bz2",
}

func isCompressedExtension(extension string) bool {
	for _, known := range extensions {
		if extension == known {
			return true
		}
	}
	return false
}

// fileName is the name of the member with the extension of how it is written.
func (c *tarCat) fileName(m *archive.Member) string {
	if c.raw {
		return m.Name
	}
	return strings.TrimSuffix(m.Name, extensions[m.Content.Compression]) + extensions[c.compression]
}

// copyMember copies the data of a member. What is broken in it is said; the error
// is that of dst or of the tarball.
func (c *tarCat) copyMember(dst io.Writer, path string, r *archive.Reader, m *archive.Member) error {
	if c.raw || m.Content.IsCapture() && m.Content.Compression == stream.Uncompressed {
		return c.job.archiveError(path, c.copyAsItIs(dst, r))
	}
	plain, _, err := stream.Decompress(r)
	n := int64(0)
	if err == nil {
		n, err = c.copy(dst, plain)
		plain.Close()
	}
	var damage *stream.DecompressionError
	var trailing *stream.TrailingError
	switch {
	case errors.As(err, &damage):
		c.job.damage(m.Name, path, &stream.Damage{Offset: n, Reason: err.Error()})
		return nil
	case errors.As(err, &trailing):
		c.job.warnf("%s: %v", displayName(m.Name, path), err)
		return nil
	}
	return c.job.archiveError(path, err)
}

// copyAsItIs copies the data of a member that are not to be decompressed.
func (c *tarCat) copyAsItIs(dst io.Writer, r *archive.Reader) error {
	sent := int64(0)
	if c.pipe != nil {
		stored, err := r.Stored()
		if err != nil {
			return err
		}
		if stored != nil {
			sent = c.send(stored)
			if sent == stored.Size() {
				return nil
			}
		}
	}
	if _, err := io.CopyN(io.Discard, r, sent); err != nil {
		return err
	}
	_, err := c.copy(dst, r)
	return err
}

// sender is a source of which parts go to a pipe in a quicker way than by copying.
type sender interface {
	// sendTo sends a part, or the beginning of it, and says how much of it that was.
	sendTo(dst *os.File, offset, size int64) int64
}

// sendSize is how much is sent at a time, in bytes: what a pipe holds.
const sendSize = 1 << 20

// send sends data of a member to the pipe, in a third of the time of reading and
// writing them, and says how much. What is left of them is to be copied.
func (c *tarCat) send(stored *io.SectionReader) (sent int64) {
	src, offset, size := stored.Outer()
	source, ok := src.(sender)
	for ok && sent < size && c.job.ctx.Err() == nil {
		part := min(size-sent, sendSize)
		if part > c.maxBytes-c.bytes.Load() {
			break
		}
		n := source.sendTo(c.pipe, offset+sent, part)
		sent += n
		c.bytes.Add(n)
		ok = n > 0
	}
	return sent
}

// copy copies until the end and tells errors of the output from others.
func (c *tarCat) copy(dst io.Writer, src io.Reader) (n int64, err error) {
	for {
		if err := c.job.ctx.Err(); err != nil {
			return n, &outputError{err}
		}
		size, err := src.Read(c.buffer)
		if int64(size) > c.maxBytes-c.bytes.Load() {
			return n, &outputError{fmt.Errorf("more than %d bytes come out (--max-bytes)", c.maxBytes)}
		}
		if size > 0 {
			if _, err := dst.Write(c.buffer[:size]); err != nil {
				return n, &outputError{err}
			}
			n += int64(size)
			c.bytes.Add(int64(size))
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// finish ends the output and says what was left out of it.
func (c *tarCat) finish() error {
	switch n := len(c.noCaptures); {
	case n == 1:
		c.job.warnf("left out %q, which is no capture", c.noCaptures[0])
	case n > 1:
		c.job.warnf("left out %q and %d more that are no captures: -v names them", c.noCaptures[0], n-1)
	}
	if c.stream == nil {
		return nil
	}
	return c.stream.Close()
}
