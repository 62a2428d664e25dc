//go:build !linux

package schedule

import "time"

func newSystemClock() *systemClock { return &systemClock{start: time.Now()} }

func (c *systemClock) SleepUntil(moment int64) { time.Sleep(time.Duration(moment - c.Now())) }
