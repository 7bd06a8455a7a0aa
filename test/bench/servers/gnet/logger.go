//go:build unix

package main

import (
	"fmt"
	"os"
)

// errorsOnly is a gnet logger that keeps standard output free: gnet's own writes its start-up
// lines there, where only the address belongs.
type errorsOnly struct{}

func (errorsOnly) Debugf(string, ...any) {}
func (errorsOnly) Infof(string, ...any)  {}
func (errorsOnly) Warnf(string, ...any)  {}

func (errorsOnly) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (l errorsOnly) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	os.Exit(1)
}
