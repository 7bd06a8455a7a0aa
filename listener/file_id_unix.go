//go:build unix

package listener

import "golang.org/x/sys/unix"

const filesHaveIDs = true

// fileAt returns which file a path is, zero if there is none.
func fileAt(path string) fileID {
	var stat unix.Stat_t
	if unix.Lstat(path, &stat) != nil {
		return fileID{}
	}
	return fileID{uint64(stat.Dev), uint64(stat.Ino)} //nolint:unconvert // the types differ
}
