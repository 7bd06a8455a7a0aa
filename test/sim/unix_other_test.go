//go:build !linux

package sim

// kernelNetwork is there on Linux only: elsewhere a unix socket's other end may hear later.
var kernelNetwork *orderedNetwork
