//go:build !windows

package wire

// native are the errors of sockets here that differ from those that programs compare with: none.
var native map[Code]error
