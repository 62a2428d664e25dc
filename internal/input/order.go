package input

import (
	"cmp"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
	"pcap-replay/internal/survey"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// orderBudget is how many bytes CheckOrder reads of all files together, besides the first
// and last packets of plain pcaps: about a second of decompression.
const orderBudget = 256 << 20

// rotationOverlap is by how much a capture may begin before the previous one ends and
// still follow it. Where a program changes files, packets of several queues are up to some
// milliseconds out of order.
const rotationOverlap = int64(10 * time.Millisecond)

// timedFile is a file, by its number, with the times of its capture.
type timedFile struct {
	number int
	survey.Span
}

// follows reports whether a capture begins after another one has ended.
func (f *timedFile) follows(previous *timedFile) bool {
	return f.First >= previous.Latest-min(rotationOverlap, (previous.Latest-previous.First)/2)
}

// CheckOrder refuses captures that overlap in time, because they would be played one after
// another, and tarballs. Captures of a folder must also be in the order of time: nobody has
// chosen the order of their names. It looks at regular files only. A file that is named
// again is played again.
func (p *Playback) CheckOrder(flags *tool.Flags) error {
	if p.files.Len() == 1 {
		return p.refuseTarball(p.files.At(0), flags)
	}
	var timed []timedFile
	reader := stream.NewReader(nil)
	defer debug.FreeOSMemory() // what has decompressed takes as much again when the files are played
	defer reader.Close()
	for i := range p.files.Len() {
		span, ok, err := p.findSpan(reader, i)
		switch {
		case errors.Is(err, stream.ErrNotCapture):
			if err := p.refuseTarball(p.files.At(i), flags); err != nil {
				return err
			}
		case p.ctx.Err() != nil:
			return p.ctx.Err()
		case ok:
			timed = append(timed, timedFile{i, span})
		}
	}
	if err := p.checkOverlaps(timed, flags); err != nil {
		return err
	}
	return p.checkSorted(timed, flags)
}

// refuseTarball refuses a file that is a tarball.
func (p *Playback) refuseTarball(file File, flags *tool.Flags) error {
	if info, err := os.Stat(file.Path); file.Path == "-" || err != nil || !info.Mode().IsRegular() || !archive.IsFile(file.Path) {
		return nil
	}
	return tool.UsageErrorf("%s is a tarball", file.Display()).WithHint(mergeLine(flags))
}

// findSpan finds the times of a file. ok is false if the file cannot be read, which is
// reported when it is played.
func (p *Playback) findSpan(reader *stream.Reader, index int) (span survey.Span, ok bool, err error) {
	path := p.files.At(index).Path
	if info, err := os.Stat(path); path == "-" || err != nil || !info.Mode().IsRegular() {
		return span, false, nil
	}
	file, isFile := p.opened[index].(*files.Input)
	if !isFile {
		opened, err := files.OpenInput(path)
		if err != nil {
			return span, false, nil
		}
		defer opened.Close()
		file = opened
	}
	size, err := file.Stat()
	if err != nil {
		return span, false, nil
	}
	return survey.FindSpan(reader, unpositioned{p, file}, size.Size(), orderBudget/int64(p.files.Len()))
}

// unpositioned reads a file without moving its position, until the run ends.
type unpositioned struct {
	playback *Playback
	file     io.ReaderAt
}

func (u unpositioned) ReadAt(b []byte, offset int64) (int, error) {
	if err := u.playback.ctx.Err(); err != nil {
		return 0, err
	}
	return u.file.ReadAt(b, offset)
}

// checkOverlaps refuses captures that overlap.
func (p *Playback) checkOverlaps(list []timedFile, flags *tool.Flags) error {
	sorted := slices.SortedStableFunc(slices.Values(list), func(a, b timedFile) int { return cmp.Compare(a.First, b.First) })
	var longest *timedFile // of those before, the one that ends last
	for i := range sorted {
		next := &sorted[i]
		if longest != nil && !next.follows(longest) && p.files.At(next.number).Path != p.files.At(longest.number).Path {
			return tool.UsageErrorf("%s and %s overlap in time: the second begins at %s, and the first has packets of %s",
				p.files.At(longest.number).Display(), p.files.At(next.number).Display(), record.Time(next.First), record.Time(longest.Latest)).WithHint(mergeLine(flags))
		}
		if longest == nil || next.Latest > longest.Latest {
			longest = next
		}
	}
	return nil
}

// sectionTimes has the times of a section, as far as it has been played.
type sectionTimes struct{ first, latest int64 }

// watchSections warns of the first section of a file or stream that begins between the times
// of the section before it. Both are played one after another. A repeated capture begins with
// the same time, and is played again.
func (p *Playback) watchSections(batch []stream.Packet, begins bool) {
	first, latest := batch[0].Time, batch[len(batch)-1].Time
	if !begins {
		p.times.latest = max(p.times.latest, latest)
		return
	}
	before := p.times
	p.times = sectionTimes{first, max(first, latest)}
	overlap := min(rotationOverlap, (before.latest-before.first)/2)
	if p.section == 1 || p.again || p.overlaps || first <= before.first || first >= before.latest-overlap {
		return
	}
	p.overlaps = true
	p.problems.Messages.Warnf("%s: captures %d and %d in it overlap in time and are played one after another: the second begins at %s, and the first has packets of %s",
		p.current.Display(), p.section-1, p.section, record.Time(first), record.Time(before.latest))
	p.problems.Messages.HintWarning("pcap-merge sorts the packets by time: put it before this tool in the pipeline")
}

// checkSorted refuses captures of folders that are not in the order of time. Captures that
// are named stay in the order of the operands.
func (p *Playback) checkSorted(list []timedFile, flags *tool.Flags) error {
	for i := range list[:max(len(list)-1, 0)] {
		if list[i+1].First >= list[i].First {
			continue
		}
		before, next := p.files.At(list[i].number), p.files.At(list[i+1].number)
		switch {
		case before.Found && next.Found:
			return tool.UsageErrorf("%s begins before %s, which is before it in the order of names", next.Display(), before.Display()).
				WithHint(mergeLine(flags) + ", or name the captures in the order that is wanted")
		default:
			p.problems.Messages.Warnf("%s begins before %s but is played after it, in the order of the operands (pcap-merge sorts by time)",
				next.Display(), before.Display())
			return nil
		}
	}
	return nil
}

// maxOperands is how many operands a hint repeats.
const maxOperands = 4

// mergeLine is the command line that merges the operands first. The other tools cannot
// repeat a stream, or measure how long it is.
func mergeLine(flags *tool.Flags) string {
	merge, rest := []string{"pcap-merge"}, []string{flags.Tool()}
	for _, words := range flags.Given() {
		name, _, _ := strings.Cut(strings.TrimLeft(words[0], "-"), "=")
		if name == "loop" {
			merge = append(merge, words...)
		} else {
			rest = append(rest, words...)
		}
		if name == "fit" && !flags.IsSet("span") && !flags.IsSet("select") {
			rest = append(rest, "--span", "DURATION")
		}
	}
	operands := flags.Operands()
	if len(operands) > maxOperands {
		operands = append(slices.Clone(operands[:maxOperands-1]), "...")
	}
	return files.QuoteLine(append(merge, operands...)) + " | " + files.QuoteLine(rest)
}
