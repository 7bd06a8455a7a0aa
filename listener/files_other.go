//go:build !unix

package listener

// openFilesLimit returns how many descriptors the process may have open, 0 if unknown.
func openFilesLimit() uint64 { return 0 }
