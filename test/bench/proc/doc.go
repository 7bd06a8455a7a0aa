// Package proc reads another process's CPU clock and memory from the kernel.
package proc
