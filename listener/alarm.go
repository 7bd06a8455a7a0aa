package listener

import (
	"fmt"
	"slices"
	"time"
)

// Alarm tells the user's code that many connections are open.
type Alarm struct {
	// Name tells alarms of one listener apart.
	Name string
	// Threshold is the number of connections that sets the alarm off. Connections that are
	// detached, or wait for the peer's FIN, count too. It must be at least 1.
	Threshold int
	// Cooldown is how long the alarm is silent after it went off. Default 5 s; negative: no time.
	Cooldown time.Duration
	// Callback is called, on a goroutine of the listener's own, when a connection has come and at
	// least Threshold are open then. While it runs, and during the Cooldown, its alarm does not go
	// off again. It goes off at the end of both if a connection has come meanwhile and at least
	// Threshold are open then. If it panics, AlarmFailed is published. A shutdown waits for it for
	// half a second at most.
	Callback func(alarm Alarm, open int)
}

func validateAlarms(list []Alarm) error {
	names := map[string]bool{}
	for _, a := range list {
		switch {
		case a.Callback == nil:
			return fmt.Errorf("berth: Alarm %q has no Callback", a.Name)
		case a.Threshold < 1:
			return fmt.Errorf("berth: Alarm %q has Threshold %d; the least is 1", a.Name, a.Threshold)
		case names[a.Name]:
			return fmt.Errorf("berth: two Alarms are named %q", a.Name)
		}
		names[a.Name] = true
	}
	return nil
}

// alarms of one listener. Its counter guards them.
type alarms struct {
	all    []*armed
	states []*alarmState                 // of all, and of replaced ones that may still wait
	over   bool                          // no alarm goes off any more
	run    func(func())                  // runs on another goroutine
	call   func(callback func()) error   // and there calls the user's code
	failed func(alarm string, err error) // reports that an alarm has failed
	raised func(alarm string, open int)  // reports that an alarm has gone off
}

// armed is an alarm with what must survive its replacement by one of the same name.
type armed struct {
	Alarm
	*alarmState
}

type alarmState struct {
	silentUntil time.Time
	calling     bool // the callback runs
	missed      bool // a connection has come while it ran, or while the alarm was silent
	again       delay
}

// look sounds the alarms that the given number of connections sets off, after one has come. It does
// not wait, and reads the clock only when one is reached.
func (t *counter) lookAtAlarms(open int) {
	for _, one := range t.alarms.all {
		if open >= one.Threshold && !one.missed {
			t.ring(one, open)
		}
	}
}

// ring sounds an alarm, at once or when it is no longer silent.
func (t *counter) ring(one *armed, open int) {
	if t.alarms.over {
		return
	}
	if one.calling {
		one.missed = true // the end of the callback looks again
		return
	}
	now := time.Now()
	if wait := one.silentUntil.Sub(now); wait > 0 {
		one.missed = true
		one.again.start(wait, func() { t.ringMissed(one.alarmState, false) })
		return
	}
	one.silentUntil = now.Add(one.Cooldown)
	one.calling, one.missed = true, false
	t.alarms.sound(one, open, func() { t.ringMissed(one.alarmState, true) })
}

// ringMissed sounds an alarm for a connection that came while it was silent, if enough connections
// are still open. called says that the alarm's callback has returned.
func (t *counter) ringMissed(state *alarmState, called bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if called {
		state.calling = false
	}
	if !state.missed || state.calling {
		return
	}
	state.missed = false
	for _, one := range t.alarms.all { // it may have been replaced, or be gone
		if one.alarmState == state && t.open >= one.Threshold {
			t.ring(one, t.open)
		}
	}
}

func (a *alarms) sound(one *armed, open int, returned func()) {
	a.run(func() {
		defer returned()
		a.raised(one.Name, open)
		err := a.call(func() { one.Callback(one.Alarm, open) })
		if err != nil && err != errAbsent { //nolint:errorlint // it is never wrapped
			a.failed(one.Name, err)
		}
	})
}

// replace keeps the state of alarms whose names stay.
func (a *alarms) replace(list []Alarm) {
	known := map[string]*alarmState{}
	for _, one := range a.all {
		known[one.Name] = one.alarmState
	}
	a.all = nil
	a.states = slices.DeleteFunc(a.states, func(s *alarmState) bool { return !s.again.running() })
	for _, alarm := range list {
		state := known[alarm.Name]
		if state == nil {
			state = &alarmState{}
		}
		if !slices.Contains(a.states, state) {
			a.states = append(a.states, state)
		}
		if alarm.Cooldown == 0 {
			alarm.Cooldown = defaultCooldown
		}
		a.all = append(a.all, &armed{alarm, state})
	}
}

const defaultCooldown = 5 * time.Second
