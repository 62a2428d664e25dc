package files

// Closing is what is known of the closing of a file by whoever wrote it.
type Closing struct {
	// Known says that something has happened to the file since it is watched. The rest is
	// empty without that.
	Known bool
	// IsClosed says that it has been closed and not been written to since.
	IsClosed bool
	// Count is how often it has been closed.
	Count int
}
