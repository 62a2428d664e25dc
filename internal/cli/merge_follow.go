package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pcap-replay/internal/merge"
	"pcap-replay/stream"
)

// followConfig reads --follow and --idle.
func (j *job) followConfig() (folder string, idle time.Duration, err error) {
	folder = j.flags.String("follow")
	if folder == "" {
		if j.flags.IsSet("idle") || j.flags.IsSet("follow") {
			return "", 0, usageErrorf("--idle and --follow want a folder: --follow FOLDER")
		}
		return "", 0, nil
	}
	if len(j.operands()) > 0 || j.flags.IsSet("select") || j.flags.IsSet("loop") {
		return "", 0, usageErrorf("--follow %q stands alone: no operands, --select or --loop beside it", folder)
	}
	if info, err := os.Stat(folder); err != nil {
		return "", 0, usageErrorf("--follow %w", namedError(folder, err))
	} else if !info.IsDir() {
		return "", 0, usageErrorf("--follow %q: is no folder", folder)
	}
	if text := j.flags.String("idle"); text != "" {
		if idle, err = parseDuration("idle", text); err != nil {
			return "", 0, err
		}
		if idle <= 0 {
			return "", 0, usageErrorf("--idle %q: wanted more than 0", text)
		}
	}
	return folder, idle, nil
}

// playGrowing writes what is written into a folder, until SIGINT or --idle, and
// then what is left.
func (m *mergeRun) playGrowing(writer *stream.Writer) error {
	follower := merge.NewFollower(m.captures, m.growing, m.idle, merge.Options{Mixed: m.writer.PcapNG, Trouble: m.growingTrouble})
	defer follower.Close()
	defer func() { m.late.Add(follower.Late()) }()
	m.sieve.rewind()
	batch := make([]stream.Packet, 512)
	for stopped := false; ; {
		if !stopped && (m.ctx.Err() != nil || m.sieve.isPast()) {
			follower.Stop()
			stopped = true
		}
		n, err := follower.Read(batch)
		m.named, m.sound = follower.Files(), follower.Files()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return mergeError(err)
		case n == 0:
			if err := writer.Flush(); err != nil {
				return m.outputFailed(err)
			}
			continue
		}
		kept, err := m.sieve.keep(batch[:n])
		if err != nil {
			return err
		}
		if err := m.write(writer, kept); err != nil {
			return err
		}
	}
}

// growing lists the files of the folder that is followed. What cannot be listed
// now may be the next time.
func (m *mergeRun) growing() (paths []string) {
	folder := m.follow + string(filepath.Separator) // or a link to a folder would not be followed
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if path != folder && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		below, _ := filepath.Rel(folder, path)
		if !isRegular(path, entry) || !m.names.wants(below) {
			return nil
		}
		info, err := os.Stat(path)
		if err == nil && !m.isOutput(info) {
			paths = append(paths, path)
		}
		return nil
	})
	return paths
}

func (m *mergeRun) growingTrouble(file *merge.Input, err error) error {
	var damage *stream.Damage
	switch {
	case errors.As(err, &damage):
		m.damage(file.Path, "", damage)
	case errors.Is(err, stream.ErrNotCapture):
		if !m.notCapture(input{path: file.Path, found: true}, err) {
			return nil
		}
	default:
		m.inputFailed(file.Path, err)
	}
	return m.strictly()
}
