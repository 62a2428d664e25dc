package files

// Closing is what is known about whether the writer of a file has closed it.
type Closing struct {
	// Known means that something has happened to the file since it is watched. Otherwise
	// the other fields are empty.
	Known bool
	// IsClosed means that the file has been closed and not been written to since.
	IsClosed bool
	// Count is the number of times that the file has been closed after it had changed.
	Count int

	hasChanged bool // since it was last closed
}
