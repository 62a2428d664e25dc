package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestEscape(t *testing.T) {
	for name, want := range map[string]string{
		"a.pcap": "a.pcap", "a\nb": `a\nb`, "\x1b[31m": `\033[31m`, "\xff": `\377`, `a\b`: `a\\b`, "ü": "ü", "\u202e": `\342\200\256`, "\u2028": `\342\200\250`,
	} {
		if got := Escape(name); got != want {
			t.Errorf("%q is %q, wanted %q", name, got, want)
		}
	}
}

// A file that is cut while it is read does not look complete.
func TestInputNoticesTruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 100), 0o666); err != nil {
		t.Fatal(err)
	}
	in, err := OpenInput(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := os.Truncate(path, 60); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(in)
	if len(data) != 60 || err == nil || err.Error() != "was truncated while it was read: wanted 100 bytes, got 60" {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if _, err := OpenInput(t.TempDir()); err == nil || err.Error() != "is a folder" {
		t.Errorf("a folder: %v", err)
	}
}

// An output appears under its name when it is published, and then as a whole.
func TestOutputAppearsWhole(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, strings.Repeat("long", 63))
	for _, commits := range []bool{false, true} {
		out, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte("data")); err != nil || out.Written() != 4 {
			t.Errorf("%v, %d bytes written", err, out.Written())
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is there before it is published: %v", err)
		}
		if commits {
			if err := errors.Join(out.Finish(), out.Publish()); err != nil {
				t.Error(err)
			}
		}
		out.Abandon()
		if out.IsComplete() != commits {
			t.Errorf("complete: %v, wanted %v", out.IsComplete(), commits)
		}
		if _, err := out.Write(nil); !errors.Is(err, ErrShut) {
			t.Errorf("a write behind the end: %v", err)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestWriteErrorsNameTheOutput(t *testing.T) {
	out := Stdout(failing{})
	_, err := out.Write(nil)
	if want := "stdout: no space left on device"; err == nil || err.Error() != want || out.Named(err).Error() != want {
		t.Errorf("%v and %v, wanted %s", err, out.Named(err), want)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error("the cause is lost")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A shell reads a quoted word as it was.
func TestQuote(t *testing.T) {
	for _, word := range []string{"a.pcap", "it's a.pcap", "$HOME", "", "a\nb", "tab\there's", "back\\slash 'x'", "\xff"} {
		out, err := exec.Command("bash", "-c", "printf %s "+Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q: %s gives %q, %v", word, Quote(word), out, err)
		}
	}
}
