package wire

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// xdpStampLimit is the number of unread timestamps, a power of two. Package schedule
	// remembers the departures of as many frames.
	xdpStampLimit = 1 << 16
	// stampPoll is the interval at which a reader looks for timestamps. To wake it up would
	// delay the sending thread. 65,536 in 10 ms are more frames than AF_XDP sends in copy
	// mode.
	stampPoll = 10 * time.Millisecond
	// completionPatience is how long the device may take to complete the frames that are
	// left at the end. A network card completes frames within a few milliseconds.
	completionPatience = 100 * time.Millisecond
)

// xdpMetadata is the kernel's struct xsk_tx_metadata, and padding that the kernel ignores:
// Documentation/networking/xsk-tx-metadata.rst. It ends where the frame begins.
type xdpMetadata struct {
	flags uint64
	// timestamp is in nanoseconds of CLOCK_TAI. It is 0 until the kernel has written it.
	timestamp int64
	_         uint64 // launch time
	number    uint32 // of the frame, in the padding: see Stamp
	_         uint32
}

const xdpMetadataLength = int(unsafe.Sizeof(xdpMetadata{}))

// metadata returns the metadata of the frame at address.
func (s *xdpSender) metadata(address uint64) *xdpMetadata {
	return (*xdpMetadata)(unsafe.Pointer(&s.memory[int(address)-xdpMetadataLength]))
}

// xdpStamps hands the timestamps of completed frames from the sending thread to a reader.
// The sending thread never waits: timestamps that do not fit are lost.
type xdpStamps struct {
	stamps [xdpStampLimit]Stamp
	noted  uint32 // timestamps put into stamps, including those that are not published
	// The reader may read those from read up to published.
	published, read atomic.Uint32
}

// note takes the timestamp of a completed frame. The device may have refused the frame, so
// the timestamp waits for publish or remove.
func (s *xdpStamps) note(metadata *xdpMetadata) {
	if metadata.timestamp == 0 || s.noted-s.read.Load() == xdpStampLimit {
		return
	}
	*s.at(s.noted) = Stamp{Frame: metadata.number, Time: metadata.timestamp}
	s.noted++
}

func (s *xdpStamps) at(position uint32) *Stamp { return &s.stamps[position%xdpStampLimit] }

// remove takes back the timestamp of a frame that was completed but not sent. It is nearly
// always the last one.
func (s *xdpStamps) remove(frame uint32) {
	if s == nil {
		return
	}
	for position := s.noted; position != s.published.Load(); position-- {
		if s.at(position-1).Frame == frame {
			s.noted--
			*s.at(position - 1) = *s.at(s.noted)
			return
		}
	}
}

// publish lets the reader have all timestamps. Their frames were sent.
func (s *xdpStamps) publish() {
	if s != nil {
		s.published.Store(s.noted)
	}
}

// Read implements Stamps.
func (s *xdpStamps) Read(dst []Stamp, wait time.Duration) (n int, err error) {
	for until := time.Now().Add(wait); ; time.Sleep(stampPoll) {
		if n = s.take(dst); n > 0 {
			break
		}
		if !time.Now().Before(until) {
			return 0, nil
		}
	}
	ahead, err := taiOffset()
	if err != nil {
		return 0, fmt.Errorf("transmit timestamps: %w", err)
	}
	for k := range dst[:n] {
		dst[k].Time -= ahead
	}
	return n, nil
}

// take moves published timestamps to dst and returns their number.
func (s *xdpStamps) take(dst []Stamp) (n int) {
	read, published := s.read.Load(), s.published.Load()
	for ; n < len(dst) && read != published; n++ {
		dst[n] = *s.at(read)
		read++
	}
	s.read.Store(read)
	return n
}

// taiOffset returns how far CLOCK_TAI is ahead of CLOCK_REALTIME, in nanoseconds. It is
// a number of seconds: clock_gettime(2).
func taiOffset() (int64, error) {
	var real, tai unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &real); err != nil {
		return 0, err
	}
	if err := unix.ClockGettime(unix.CLOCK_TAI, &tai); err != nil {
		return 0, err
	}
	return int64(time.Duration(tai.Nano() - real.Nano()).Round(time.Second)), nil
}
