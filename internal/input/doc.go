// Package input finds and opens what the tools read: from operands, folders, records and
// tarballs to open captures. It plays the sections of captures one after another for the
// tools that need one stream. Problems prints and reports what is wrong with inputs.
package input
