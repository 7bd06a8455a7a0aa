package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/examples/internal/program"
)

func TestTheListenerIsStartedAgainByItsTree(t *testing.T) {
	p := program.Start(t, program.Build(t, "."))
	assert.Zero(t, p.Wait(t), "standard error: %q", p.Stderr())
	assert.Equal(t, []string{
		"the service starts",
		"client: hello",
		"the listener is killed",
		"client: the connection ended with EOF",
		"the listener has ended, the service listens again",
		"client: hello",
		"the service panics",
		"client: the connection ended with EOF",
		"the service starts",
		"client: hello",
		"the service is stopped",
		"client: the connection ended with EOF",
		"the end",
	}, p.Stdout())
}
