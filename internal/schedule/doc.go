// Package schedule says when packets leave. [Axis] maps the timestamps of a
// stream to departures: pure functions, in integers. [Transmission] sees to it
// that packets leave then: a reader fills a [Ring] ahead of time, and one thread
// sleeps, spins and sends.
//
// Departures are nanoseconds from that of the first packet. Moments are
// nanoseconds on the clock of [Clock].
package schedule
