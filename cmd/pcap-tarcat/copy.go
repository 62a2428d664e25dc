package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/plural"
	"pcap-replay/stream"
)

// extensions are the file name extensions of compressed files.
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

// fileName is the name of the member with the extension for its compression.
func (t *taker) fileName(m *archive.Member) string {
	if t.config.raw {
		return m.Name
	}
	return strings.TrimSuffix(m.Name, extensions[m.Content.Compression]) + extensions[t.config.compression]
}

// copyMember copies the data of a member and reports damage in it. The error is that of dst
// or of the tarball.
func (t *taker) copyMember(dst io.Writer, path string, r archive.Walker, m *archive.Member) error {
	if t.config.raw || m.Content.IsCapture() && m.Content.Compression == stream.Uncompressed {
		return t.archives.PassDamage(path, t.copyAsItIs(dst, r))
	}
	plain, _, err := stream.Decompress(r)
	n := int64(0)
	if err == nil {
		n, err = t.copy(dst, plain)
		plain.Close()
	}
	var damage *stream.DecompressionError
	var trailing *stream.TrailingError
	switch {
	case errors.As(err, &damage):
		t.problems.Damage(input.File{Path: m.Name, Archive: path}, &stream.Damage{Offset: n, Reason: err.Error()})
		return nil
	case errors.As(err, &trailing):
		t.run.Messages.Warnf("%s: %v", files.Display(m.Name, path), err)
		return nil
	}
	return t.archives.PassDamage(path, err)
}

// copyAsItIs copies the data of a member without decompressing it.
func (t *taker) copyAsItIs(dst io.Writer, r archive.Walker) error {
	sent := int64(0)
	if t.pipe != nil {
		stored, err := r.Stored()
		if err != nil {
			return err
		}
		if stored != nil {
			sent = t.send(stored)
			if sent == stored.Size() {
				return nil
			}
		}
	}
	if _, err := io.CopyN(io.Discard, r, sent); err != nil {
		return err
	}
	_, err := t.copy(dst, r)
	return err
}

// sendSize is the number of bytes per call: the size that package files gives a pipe.
const sendSize = 1 << 20

// send passes data of a member to the pipe without copying, in a third of the time of
// reading and writing, and returns the number of bytes. The rest has to be copied.
func (t *taker) send(stored *io.SectionReader) (sent int64) {
	src, offset, size := stored.Outer()
	source, ok := src.(input.Sender)
	for ok && sent < size && t.run.Context.Err() == nil {
		part := min(size-sent, sendSize)
		if part > t.config.maxBytes-t.bytes.Load() {
			break
		}
		n := source.SendTo(t.pipe, offset+sent, part)
		t.out.CountSent(n)
		sent += n
		t.bytes.Add(n)
		ok = n > 0
	}
	return sent
}

// copy copies to the end, and distinguishes errors of the output from others.
func (t *taker) copy(dst io.Writer, src io.Reader) (n int64, err error) {
	for {
		if err := t.run.Context.Err(); err != nil {
			return n, input.AsStop(err)
		}
		size, err := src.Read(t.buffer)
		if int64(size) > t.config.maxBytes-t.bytes.Load() {
			return n, input.AsStop(fmt.Errorf("the output exceeds %s (--max-bytes)", plural.Of(t.config.maxBytes, "byte")))
		}
		if size > 0 {
			if _, err := dst.Write(t.buffer[:size]); err != nil {
				return n, input.AsStop(err)
			}
			n += int64(size)
			t.bytes.Add(int64(size))
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// finish completes the output and reports what was left out.
func (t *taker) finish() error {
	say, hint := t.run.Messages.Warnf, ""
	if t.taken.Load() == 0 && !t.run.Messages.HaveErrors() { // nothing was written of what an expression matched
		say, hint = t.run.Messages.Errorf, "--raw and --name write members that are not captures, and -C extracts them"
	}
	switch n := len(t.noCaptures); {
	case n == 1:
		say("left out %q, which is not a capture", t.noCaptures[0])
		t.run.Messages.Hint(hint)
	case n > 1:
		say("left out %d members that are not captures, such as %q: -v lists them", n, t.noCaptures[0])
		t.run.Messages.Hint(hint)
	}
	if t.stream == nil {
		return nil
	}
	return t.stream.Close()
}
