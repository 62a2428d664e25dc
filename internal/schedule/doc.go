// Package schedule decides when packets leave. [Axis] maps the timestamps of a stream to
// departures, with pure functions of integers. [Transmission] sends the packets at these
// departures: a reader fills a [Ring] ahead of time, and one thread sleeps, spins and
// sends.
//
// Departures are nanoseconds from the first packet. Moments are nanoseconds on a [Clock].
package schedule
