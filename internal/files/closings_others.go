//go:build !linux

package files

// Closings knows of no file on this system.
type Closings struct{}

// NewClosings returns nil.
func NewClosings() *Closings { return nil }

// Watch adds a folder.
func (c *Closings) Watch(string) {}

// Update reads the events until now.
func (c *Closings) Update() {}

// Of returns what is known of a file in a watched folder.
func (c *Closings) Of(string) Closing { return Closing{} }

// Close ends the watch.
func (c *Closings) Close() {}
