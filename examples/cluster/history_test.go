package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// chatted returns a record of two rooms in which everything is right: ada and bob in one, and both
// say three lines; cy in the other.
func chatted() *record {
	r := newRecord()
	for _, m := range [][2]string{{"red", "ada"}, {"red", "bob"}, {"blue", "cy"}} {
		r.member(m[0], m[1])
	}
	sequence := uint64(0)
	say := func(name, room, text string, members ...string) {
		r.saying(name, room, text)
		r.stored(name, uint64(len(r.said[name])))
		sequence++
		for _, member := range members {
			r.hears(member, room, line{sequence: sequence, name: name, text: text})
		}
	}
	for i := range 3 {
		say("ada", "red", fmt.Sprint("line ", i), "ada", "bob")
		say("bob", "red", fmt.Sprint("line ", i), "ada", "bob")
		say("cy", "blue", fmt.Sprint("line ", i), "cy")
	}
	return r
}

func TestTheCheckFindsEveryFault(t *testing.T) {
	v := chatted().check()
	assert.Equal(t, verdict{lines: 9, stored: 9, deliveries: 15}, v)
	for name, c := range map[string]struct {
		damage      func(r *record)
		lost, twice int
		fault       string
	}{
		"a line that one member did not get": {func(r *record) { r.got["bob"] = r.got["bob"][:5] }, 1, 0, "line 3 of bob was acknowledged and did not reach bob"},
		"a line that no member got": {func(r *record) {
			r.got["bob"], r.got["ada"] = r.got["bob"][:5], r.got["ada"][:5]
		}, 2, 0, "did not reach"},
		"a line twice":                  {func(r *record) { r.got["cy"] = append(r.got["cy"], r.got["cy"][2]) }, 0, 1, "cy got line 3 of cy twice"},
		"a line that was not said":      {func(r *record) { r.got["cy"] = append(r.got["cy"], heard{"blue", line{99, "cy", "no"}}) }, 0, 0, "has not said"},
		"a line of another room":        {func(r *record) { r.got["cy"] = append(r.got["cy"], heard{"blue", line{99, "ada", "line 1"}}) }, 0, 0, "said in another room"},
		"a line with another room":      {func(r *record) { r.got["cy"][0].room = "red" }, 0, 0, "cy of blue got a line of red"},
		"two lines of a sender swapped": {func(r *record) { g := r.got["cy"]; g[0].text, g[1].text = g[1].text, g[0].text }, 0, 0, "cy got line 1 of cy after line 2"},
		"a sequence that goes back":     {func(r *record) { r.got["cy"][1].sequence = 1 }, 0, 0, "got sequence 1 after 3"},
		"an order of one member's own":  {func(r *record) { g := r.got["bob"]; g[0], g[1] = g[1], g[0] }, 0, 0, "have not the same lines in the same order"},
		"a line that only one has, not acknowledged": {func(r *record) {
			r.said["bob"][2].stored = false
			r.got["bob"] = r.got["bob"][:5]
		}, 0, 0, "have not the same lines"},
	} {
		r := chatted()
		c.damage(r)
		v := r.check()
		assert.Equal(t, c.lost, v.lost, name)
		assert.Equal(t, c.twice, v.twice, name)
		if assert.NotEmpty(t, v.faults, name) {
			assert.Contains(t, fmt.Sprint(v.faults), c.fault, name)
		}
	}
}

// A line that was not acknowledged may be there for all, or for none.
func TestALineThatWasNotAcknowledgedIsNoFault(t *testing.T) {
	r := chatted()
	r.said["bob"][2].stored = false
	assert.Empty(t, r.check().faults)
	r.got["bob"], r.got["ada"] = r.got["bob"][:5], r.got["ada"][:5]
	assert.Empty(t, r.check().faults)
	unstored, missing := r.open()
	assert.Equal(t, 1, unstored)
	assert.Equal(t, 2, missing)
}

func TestTheStallCountsLinesThatWait(t *testing.T) {
	r := newRecord()
	r.said["ada"] = []*utterance{
		{said: 1 * time.Second, stored: true, storedAt: 9 * time.Second},
		{said: 10 * time.Second, stored: true, storedAt: 13 * time.Second},
		{said: 12 * time.Second, stored: true, storedAt: 14 * time.Second},
	}
	assert.Equal(t, 2*time.Second, r.stall(11*time.Second))
	assert.Equal(t, 3*time.Second, r.stall(10*time.Second))
	r.began = time.Now().Add(-time.Minute)
	r.said["ada"][2].stored = false
	assert.GreaterOrEqual(t, r.stall(11*time.Second), 48*time.Second)
}
