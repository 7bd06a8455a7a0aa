//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this benchmark runs on Linux only: it reads the servers' CPU clocks and drives its sockets with epoll")
	os.Exit(1)
}
