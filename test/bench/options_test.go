package main

import (
	"flag"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/bench/plan"
)

func TestFlagsOverrideThePreset(t *testing.T) {
	o, err := parse([]string{"-preset", "smoke", "-cases", "50,bulk", "-servers", "gonet, gnet", "-rounds", "2", "-duration", "70ms"}, io.Discard)
	require.NoError(t, err)
	assert.Len(t, o.cases, 2)
	assert.Len(t, o.servers, 2)
	assert.Equal(t, 2, o.preset.Rounds)
	assert.Equal(t, 70*time.Millisecond, o.preset.Duration)
	assert.Empty(t, o.preset.Sample, "servers that were asked for are measured in every case")
}

func TestAPresetShrinksItsCases(t *testing.T) {
	full, err := parse([]string{"-preset", "full", "-cases", "memory-collected"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 5000, full.cases[0].Conns)
	smoke, err := parse([]string{"-preset", "smoke", "-cases", "memory-collected,blocking"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 250, smoke.cases[0].Conns)
	assert.Equal(t, 50*time.Millisecond, smoke.cases[1].Sleep)
}

func TestWrongFlagsAreAnsweredWithOneSentence(t *testing.T) {
	for _, one := range []struct {
		args []string
		want string
	}{
		{[]string{"-preset", "long"}, `there is no preset "long": choose among full, short, smoke`},
		{[]string{"-cases", "51"}, `there is no case "51"`},
		{[]string{"-servers", "redis"}, `there is no server "redis"`},
		{[]string{"-rounds", "-1"}, "-rounds must be from 1 to 1000, not -1"},
		{[]string{"-duration", "2h"}, "-duration must be above 0 and at most 1m, not 2h0m0s"},
		{[]string{"-threads", "-2"}, "-threads must be from 0 to 256"},
		{[]string{"50"}, `there is no argument "50": everything is a flag`},
	} {
		_, err := parse(one.args, io.Discard)
		assert.ErrorContains(t, err, one.want)
	}
	_, err := parse([]string{"-h"}, io.Discard)
	assert.ErrorIs(t, err, flag.ErrHelp)
}

func TestTheListingNamesEverything(t *testing.T) {
	text := listing()
	for _, c := range plan.Cases() {
		assert.Contains(t, text, c.ID)
	}
	for _, s := range plan.Servers() {
		assert.Contains(t, text, s.ID)
	}
}
