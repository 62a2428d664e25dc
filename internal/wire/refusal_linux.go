package wire

import (
	"fmt"
	"time"
)

const (
	// retryPause is how long a device is left alone that has no room.
	retryPause = 20 * time.Microsecond
	// readyCheck is how long one may go without room before it is asked why.
	readyCheck = 100 * time.Millisecond
	// patience is how long it may refuse one frame.
	patience = time.Second
)

// refusal is how long a device has not taken a frame. It may have no room, no
// carrier, or nobody after it who wants a frame of that length: the kernel says
// the same of all of them.
type refusal struct{ since, checked time.Time }

// wait pauses before the frame is tried again, or says why not to.
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
	if now.Sub(r.since) >= patience {
		return fmt.Errorf("interface %q: frame %w for %v", name, ErrRefused, patience)
	}
	time.Sleep(retryPause)
	return nil
}
