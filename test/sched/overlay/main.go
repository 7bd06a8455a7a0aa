// Overlay prints the name of a file for go build -overlay that puts sched.Points into the code. It
// is run in the module's root; the file is in the folder that is its argument.
package main

import (
	"fmt"
	"os"

	"github.com/go-berth/berth/test/sched"
)

func main() {
	root, err := os.Getwd()
	if err == nil && len(os.Args) != 2 {
		err = fmt.Errorf("usage: overlay FOLDER")
	}
	var path string
	if err == nil {
		path, err = sched.Overlay(root, os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
