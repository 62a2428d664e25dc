//go:build !race

package lab

// raceDetector says that this test runs with it.
const raceDetector = false
