package schedule

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// isolatedCores lists the cores on which the kernel runs only threads that ask for it, as
// isolcpus= in its command line says: https://docs.kernel.org/admin-guide/cputopology.html
const isolatedCores = "/sys/devices/system/cpu/isolated"

// RunOnIsolatedCore moves the calling thread to one of the isolated cores of the machine,
// if there are any. Threads with different numbers get different cores as long as there are
// enough. The caller has locked its goroutine to the thread.
func RunOnIsolatedCore(number int) error {
	list, err := os.ReadFile(isolatedCores)
	if err != nil {
		return nil // a kernel without it isolates nothing
	}
	cores, err := parseCores(strings.TrimSpace(string(list)))
	if err != nil || len(cores) == 0 {
		return err
	}
	var set unix.CPUSet
	core := cores[number%len(cores)]
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("run on core %d: %w", core, err)
	}
	return nil
}

// parseCores reads a list such as "2-3,7".
func parseCores(list string) (cores []int, err error) {
	if list == "" {
		return nil, nil
	}
	for _, item := range strings.Split(list, ",") {
		low, high, isRange := strings.Cut(item, "-")
		if !isRange {
			high = low
		}
		first, err := strconv.Atoi(low)
		last, lastErr := strconv.Atoi(high)
		if err != nil || lastErr != nil {
			return nil, fmt.Errorf("%s: wanted a list of cores, got %q", isolatedCores, list)
		}
		for core := first; core <= last; core++ {
			cores = append(cores, core)
		}
	}
	return cores, nil
}
