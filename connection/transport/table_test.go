//go:build linux

package transport

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// watching counts the events that came to it.
type watching struct{ input, output, hangup int }

func (w *watching) ready(what readiness) {
	for event, bit := range map[*int]readiness{&w.input: readyInput, &w.output: readyOutput, &w.hangup: readyHangup} {
		if what&bit != 0 {
			*event++
		}
	}
}

// The kernel gives a number away again at once. An event that was fetched for the previous
// descriptor must not come to the next one.
func TestAReusedDescriptorGetsNoOldEvent(t *testing.T) {
	set, err := NewPollSet()
	require.NoError(t, err)
	defer set.Close()
	ours, theirs := socketPair(t)
	before := new(watching)
	require.NoError(t, set.add(ours, before))
	_, err = unix.Write(theirs, []byte("x"))
	require.NoError(t, err)
	n := set.Wait(true)
	require.Equal(t, 1, n)

	set.remove(ours, before)
	closeFD(ours)
	defer closeFD(theirs)
	next, other := socketPair(t)
	defer closeFD(next)
	defer closeFD(other)
	require.Contains(t, []int{next, other}, ours, "the number is used again")
	after := new(watching)
	require.NoError(t, set.add(ours, after))
	set.Dispatch(n)
	assert.Zero(t, *before, "it is gone")
	assert.Zero(t, *after, "the event was another's")

	n = set.Wait(true)
	set.Dispatch(n)
	assert.Equal(t, watching{output: 1}, *after, "its own events come")
}

func socketPair(t *testing.T) (int, int) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	return pair[0], pair[1]
}

// The model is a map. A watcher that was removed, or replaced, is found under no generation.
func TestATableFindsTheLastEntryUntilItIsRemoved(t *testing.T) {
	type entry struct {
		who        *watching
		generation uint32
	}
	rapid.Check(t, func(t *rapid.T) {
		var table table
		now, past := map[int]entry{}, map[int][]entry{}
		fds := rapid.SampledFrom([]int{0, 1, 3, 63, 64, 65, 200, 5000})
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				fd, who := fds.Draw(t, "fd"), new(watching)
				if old, ok := now[fd]; ok {
					past[fd] = append(past[fd], old)
				}
				now[fd] = entry{who, table.enter(fd, who)}
			},
			"remove": func(t *rapid.T) {
				fd := fds.Draw(t, "fd")
				if e, ok := now[fd]; ok {
					table.remove(fd, new(watching)) // a stranger: nothing happens
					if table.find(fd, e.generation) == nil {
						t.Fatalf("%d was removed by a stranger", fd)
					}
					table.remove(fd, e.who)
					past[fd] = append(past[fd], e)
					delete(now, fd)
				}
			},
			"": func(t *rapid.T) {
				for fd, e := range now {
					if table.find(fd, e.generation) != watcher(e.who) {
						t.Fatalf("%d is not found", fd)
					}
				}
				for fd, gone := range past {
					for _, e := range gone {
						if table.find(fd, e.generation) != nil {
							t.Fatalf("an event of a former %d reaches somebody", fd)
						}
					}
				}
				if table.find(1<<20, 1) != nil {
					t.Fatal("a number that never was here is found")
				}
			},
		})
	})
}

func TestAPollSetIsWokenOnceHoweverOftenItIsCalled(t *testing.T) {
	set, err := NewPollSet()
	require.NoError(t, err)
	defer set.Close()
	require.Zero(t, set.Wait(false))
	for range 3 {
		for range 5 {
			set.Wake()
		}
		n := set.Wait(true)
		require.Equal(t, 1, n)
		set.Dispatch(n)
		assert.Zero(t, set.Wait(false), "and is quiet again")
	}
}
