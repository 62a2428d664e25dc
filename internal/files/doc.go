// Package files opens and creates the files of the tools: a pool that keeps the number
// of open descriptors within the limit, inputs that notice when they are truncated while
// they are read, and outputs that get their name when they are complete. It also knows how
// messages show file names.
package files
