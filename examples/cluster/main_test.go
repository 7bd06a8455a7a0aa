package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asProgram is set in the environment of a process that is the program, and not the test.
const asProgram = "BERTH_CLUSTER_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}
