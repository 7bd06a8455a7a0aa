package listener

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/test/faultnet"
)

func atLeast(n int) func(int) bool { return func(open int) bool { return open >= n } }
func exactly(n int) func(int) bool { return func(open int) bool { return open == n } }

func TestWaitConnectionsReturnsOnceThereAreSoMany(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l := newWorld().listen(t, of(newEcho()), o)
		require.NoError(t, l.WaitConnections(within(t, patience), exactly(0)))
		three := make(chan error, 1)
		go func() { three <- l.WaitConnections(within(t, patience), atLeast(3)) }()
		var all []net.Conn
		for range 3 {
			assert.Empty(t, three)
			all = append(all, dial(t, l))
			echoes(t, all[len(all)-1])
		}
		require.NoError(t, receive(t, three))
		require.NoError(t, l.WaitConnections(within(t, patience), exactly(3)))
		for _, c := range all {
			_ = c.Close()
		}
		require.NoError(t, l.WaitConnections(within(t, patience), exactly(0)))
		assert.Zero(t, l.Info().Open, "what was told is so")
		assert.Empty(t, l.server.counter.watchers)
	})
}

func TestWaitConnectionsCanGiveUp(t *testing.T) {
	l := newWorld().listen(t, of(newEcho()), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- l.WaitConnections(ctx, atLeast(1)) }()
	cancel()
	require.ErrorIs(t, receive(t, result), context.Canceled)
	require.NoError(t, l.WaitConnections(ctx, exactly(0)), "what holds already needs no patience")
	assert.Empty(t, l.server.counter.watchers)
}

func TestWaitConnectionsEndsWithTheListener(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l, err := Listen(newWorld().Root, anyPort, of(newEcho()), o)
		require.NoError(t, err)
		echoes(t, dial(t, l))
		never, none := make(chan error, 1), make(chan error, 1)
		go func() { never <- l.WaitConnections(within(t, patience), atLeast(2)) }()
		go func() { none <- l.WaitConnections(within(t, patience), exactly(0)) }()
		require.NoError(t, l.Close())
		require.ErrorIs(t, receive(t, never), net.ErrClosed)
		require.NoError(t, receive(t, none))
		require.EqualError(t, l.WaitConnections(within(t, patience), atLeast(1)), "berth: the listener has ended")
		require.NoError(t, l.WaitConnections(within(t, patience), exactly(0)))
	})
}

// The condition is the user's code: it may ask the listener, and may panic.
func TestAConditionMayAskTheListenerAndPanic(t *testing.T) {
	l := newWorld().listen(t, of(newEcho()), Options{})
	assert.PanicsWithValue(t, "oh", func() {
		_ = l.WaitConnections(within(t, patience), func(int) bool {
			_ = l.Info()
			_ = l.WaitConnections(within(t, patience), exactly(0))
			panic("oh")
		})
	})
	echoes(t, dial(t, l))
	assert.Empty(t, l.server.counter.watchers)
}

// A number may last only until the next connection comes or goes.
func TestNoNumberOfConnectionsIsMissedHoweverBriefItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var counted counter
		open := 0
		w := counted.watch()
		seen := map[int]bool{0: true}
		t.Repeat(map[string]func(*rapid.T){
			"come": func(*rapid.T) { open++; counted.set(open); seen[open] = true },
			"go":   func(*rapid.T) { open = max(open-1, 0); counted.set(open); seen[open] = true },
			"look": func(t *rapid.T) {
				low, high := counted.look(w)
				for n := low; n <= high; n++ {
					require.True(t, seen[n], "there were never %d", n)
					delete(seen, n)
				}
				require.Empty(t, seen, "missed")
				seen = map[int]bool{open: true}
				again, same := counted.look(w)
				require.Equal(t, []int{open, open}, []int{again, same})
			},
		})
	})
}

// An alarm goes off when its number is reached, not again while it is silent, and again when a
// connection comes after that.
func TestAnAlarmGoesOffOnceInItsCooldown(t *testing.T) {
	var rung []int
	bell := Alarm{Name: "many", Threshold: 2, Callback: func(a Alarm, open int) {
		assert.Equal(t, "many", a.Name)
		assert.Equal(t, 2, a.Threshold)
		rung = append(rung, open)
	}}
	inABubble(t, Options{Alarms: []Alarm{bell}}, func(t *testing.T, _ *world, _ *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		come := func() { dial(); synctest.Wait() }
		come()
		assert.Empty(t, rung)
		come()
		assert.Equal(t, []int{2}, rung)
		come()
		time.Sleep(defaultCooldown - 1)
		come()
		assert.Equal(t, []int{2}, rung)
		time.Sleep(1)
		synctest.Wait()
		assert.Equal(t, []int{2, 4}, rung, "two have come during the cooldown")
		time.Sleep(2 * defaultCooldown)
		assert.Equal(t, []int{2, 4}, rung, "and none since")
		come()
		assert.Equal(t, []int{2, 4, 5}, rung)
	})
}

func TestAnAlarmIsNotLostIfTheLastConnectionComesTooEarly(t *testing.T) {
	type call struct {
		open int
		at   time.Duration
	}
	for says, test := range map[string]struct {
		cooldown, takes time.Duration
		after           func(come func(), goes func())
		want            []call
	}{
		"during the callback":                       {-1, time.Second, func(come, _ func()) { come() }, []call{{2, 0}, {3, time.Second}}},
		"during the callback, which is the longer":  {time.Second, time.Minute, func(come, _ func()) { come() }, []call{{2, 0}, {3, time.Minute}}},
		"during the callback, which is the shorter": {time.Minute, time.Second, func(come, _ func()) { come() }, []call{{2, 0}, {3, time.Minute}}},
		"during the cooldown":                       {time.Minute, 0, func(come, _ func()) { come(); come() }, []call{{2, 0}, {4, time.Minute}}},
		"after some have gone":                      {time.Minute, 0, func(come, goes func()) { goes(); come() }, []call{{2, 0}, {2, time.Minute}}},
		"and goes":                                  {time.Minute, 0, func(come, goes func()) { come(); goes(); goes() }, []call{{2, 0}}},
		"none":                                      {time.Minute, time.Second, func(_, _ func()) {}, []call{{2, 0}}},
	} {
		t.Run(says, func(t *testing.T) {
			var calls []call
			var began time.Time
			bell := Alarm{Threshold: 2, Cooldown: test.cooldown, Callback: func(_ Alarm, open int) {
				calls = append(calls, call{open, time.Since(began)})
				time.Sleep(test.takes)
			}}
			inABubble(t, Options{Alarms: []Alarm{bell}}, func(t *testing.T, _ *world, _ *Listener, _ *faultnet.Listener, dial func() net.Conn) {
				began = time.Now()
				var clients []net.Conn
				come := func() { clients = append(clients, dial()); synctest.Wait() }
				goes := func() {
					_ = clients[len(clients)-1].Close()
					clients = clients[:len(clients)-1]
					synctest.Wait()
				}
				come()
				come()
				test.after(come, goes)
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.Equal(t, test.want, calls)
			})
		})
	}
}

// A shutdown joins the timers of alarms that wait, also of one that was replaced.
func TestNoAlarmGoesOffAfterTheEnd(t *testing.T) {
	rung := 0
	alarm := func(name string) Alarm {
		return Alarm{Name: name, Threshold: 1, Cooldown: time.Minute, Callback: func(Alarm, int) { rung++ }}
	}
	inABubble(t, Options{Alarms: []Alarm{alarm("a")}}, func(t *testing.T, _ *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		dial()
		dial()
		synctest.Wait()
		require.NoError(t, l.SetOptions(Options{Alarms: []Alarm{alarm("b")}}))
		synctest.Wait()
		dial()
		synctest.Wait()
		assert.Equal(t, 2, rung)
		require.NoError(t, l.Close())
		time.Sleep(time.Hour)
		assert.Equal(t, 2, rung)
	})
}

func TestAnAlarmWithoutCooldownGoesOffForEveryConnection(t *testing.T) {
	var rung []int
	bell := Alarm{Threshold: 2, Cooldown: -1, Callback: func(_ Alarm, open int) { rung = append(rung, open) }}
	inABubble(t, Options{Alarms: []Alarm{bell}}, func(t *testing.T, _ *world, _ *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		for range 3 {
			dial()
			synctest.Wait()
		}
		c := dial()
		synctest.Wait()
		_ = c.Close()
		synctest.Wait()
		assert.Equal(t, []int{2, 3, 4}, rung, "and not for one that goes")
	})
}

// Neither the acceptor nor another alarm waits for a slow callback. Callbacks of the same alarm do
// not overlap.
func TestAnAlarmDelaysNothing(t *testing.T) {
	var release chan struct{} // made in the bubble
	slows, others := 0, 0
	slow := Alarm{Name: "slow", Threshold: 1, Cooldown: -1, Callback: func(Alarm, int) { slows++; <-release }}
	fast := Alarm{Name: "fast", Threshold: 1, Cooldown: -1, Callback: func(Alarm, int) { others++ }}
	inABubble(t, Options{Alarms: []Alarm{slow, fast}}, func(t *testing.T, _ *world, _ *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		release = make(chan struct{})
		for n := range 3 {
			echoes(t, dial())
			synctest.Wait()
			assert.Equal(t, n+1, others)
			assert.Equal(t, 1, slows)
		}
		close(release)
		synctest.Wait()
		assert.Equal(t, 2, slows, "two connections have come meanwhile")
		dial()
		synctest.Wait()
		assert.Equal(t, 3, slows)
	})
}

func TestAnAlarmThatFailsIsToldAndGoesOffAgain(t *testing.T) {
	panics := Alarm{Name: "bad", Threshold: 1, Cooldown: -1, Callback: func(Alarm, int) { panic("oh") }}
	inABubble(t, Options{Alarms: []Alarm{panics}}, func(t *testing.T, w *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		for n := range 2 {
			echoes(t, dial())
			synctest.Wait()
			told := published[*AlarmFailed](w)
			require.Len(t, told, n+1)
			assert.Equal(t, "bad", told[n].Alarm)
			assert.Equal(t, l.Addr(), told[n].Addr)
			require.ErrorContains(t, told[n].Err, "oh")
		}
	})
}

// Alarms that are replaced by one of the same name stay silent, new ones look at once.
func TestAlarmsAreReplacedWhileTheListenerRuns(t *testing.T) {
	var mu sync.Mutex
	rung := map[string]int{}
	alarm := func(name string, threshold int) Alarm {
		return Alarm{Name: name, Threshold: threshold, Callback: func(a Alarm, _ int) {
			mu.Lock()
			defer mu.Unlock()
			rung[a.Name]++
		}}
	}
	inABubble(t, Options{Alarms: []Alarm{alarm("a", 1)}}, func(t *testing.T, _ *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		dial()
		synctest.Wait()
		assert.Equal(t, map[string]int{"a": 1}, rung)
		require.NoError(t, l.SetOptions(Options{Alarms: []Alarm{alarm("a", 1), alarm("b", 1), alarm("c", 2)}}))
		synctest.Wait()
		assert.Equal(t, map[string]int{"a": 1, "b": 1}, rung)
		dial()
		synctest.Wait()
		assert.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1}, rung)
		require.NoError(t, l.SetOptions(Options{}))
		time.Sleep(time.Minute)
		dial()
		synctest.Wait()
		assert.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1}, rung)
	})
}

// Over real sockets, with the poll transport too: every connection beyond the threshold is told,
// exactly once.
func TestEveryConnectionBeyondTheThresholdIsToldToAnAlarmThatIsNeverSilent(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		rung := make(chan int, 100)
		o.Alarms = []Alarm{{Threshold: 2, Cooldown: -1, Callback: func(_ Alarm, open int) { rung <- open }}}
		l := newWorld().listen(t, of(newEcho()), o)
		echoes(t, dial(t, l))
		for n := 2; n <= 4; n++ {
			echoes(t, dial(t, l))
			assert.Equal(t, n, receive(t, rung))
			eventually(t, func() bool {
				l.server.counter.mu.Lock()
				defer l.server.counter.mu.Unlock()
				return !l.server.counter.alarms.all[0].calling
			})
		}
		assert.Empty(t, rung)
	})
}
