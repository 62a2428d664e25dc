package wire

import (
	"fmt"
	"time"
)

const (
	// retryPause is the pause before the next attempt if a device has no room. A full queue
	// does not run empty meanwhile: in 20 us, 17 frames of 1,514 bytes leave at 10 Gbit/s,
	// and queues hold 256 and more.
	retryPause = 20 * time.Microsecond
	// readyCheck is how long a device may have no room before the reason is checked. The
	// check takes some system calls, ten times a second.
	readyCheck = 100 * time.Millisecond
	// patience is how long a device may refuse one frame. At 1 Mbit/s, a frame of 1,514
	// bytes makes room after 12 ms.
	patience = time.Second
)

// refusal tracks how long a device has not accepted a frame. It may have no room, no
// carrier, or no peer that accepts a frame of that length. The kernel returns the same
// error for all of them.
type refusal struct{ since, checked time.Time }

// wait pauses before the next attempt, or returns why there should be none.
func (r *refusal) wait(name string) error {
	now := time.Now()
	if r.since.IsZero() {
		r.since, r.checked = now, now
	}
	if now.Sub(r.checked) >= readyCheck {
		r.checked = now
		i, err := Lookup(name)
		if err != nil {
			return err
		}
		if err := i.Ready(); err != nil {
			return err
		}
	}
	if !r.pause() {
		return fmt.Errorf("interface %q: frame %w for %v", name, ErrRefused, patience)
	}
	return nil
}

// pause pauses before the next attempt, or returns false if there should be none.
func (r *refusal) pause() bool {
	if r.since.IsZero() {
		r.since = time.Now()
	}
	if time.Since(r.since) >= patience {
		return false
	}
	time.Sleep(retryPause)
	return true
}
