//go:build freebsd || netbsd || openbsd || dragonfly

package transport

const notSentLowat = unknown
