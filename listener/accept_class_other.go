//go:build !linux && !windows

package listener

// acceptErrnosHere is empty: every error has its name everywhere.
var acceptErrnosHere []acceptErrno
