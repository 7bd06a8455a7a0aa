// Command generator does one job of the load generator: it reads a load.Job as JSON from standard
// input and writes a load.Result as JSON to standard output. It is a process of its own, so that
// the garbage collector, threads and CPU clock of the server and of the orchestrator are separate
// from its own.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/go-berth/berth/test/bench/load"
)

// memoryLimit is where the garbage collector comes on again: nothing on the generator's path
// allocates, so without it no cycle ever runs beside the load.
const memoryLimit = 2 << 30

func main() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	var job load.Job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return fmt.Errorf("the generator was given no job it understands: %w", err)
	}
	result, err := load.Run(job)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
