package listener

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Alarm tells the user's code that many connections are open.
type Alarm struct {
	// Name tells alarms of one listener apart.
	Name string
	// Threshold is how many open connections it takes, uncounted ones included. It must be at least 1.
	Threshold int
	// Cooldown is how long the alarm is silent after it went off. Default 5 s; negative: not at all.
	Cooldown time.Duration
	// Callback is called, on a goroutine of the listener's own, when a connection has come and at least Threshold are open then. While it
	// runs its alarm does not go off again. A shutdown waits for it, so it must not call Shutdown or Close. If it panics,
	// AlarmFailed is published.
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

// alarms of one listener. Its tally guards them.
type alarms struct {
	all    []*armed
	run    func(func())                  // runs a callback, on another goroutine
	failed func(alarm string, err error) // tells that one has failed
}

// armed is an alarm with what must survive its replacement by one of the same name.
type armed struct {
	Alarm
	*alarmState
}

type alarmState struct {
	silentUntil time.Time
	calling     atomic.Bool // cleared by the goroutine that calls
}

// look sounds the alarms that so many connections set off. It does not wait, and reads the clock only when one is reached.
func (a *alarms) look(open int) {
	for _, one := range a.all {
		if open < one.Threshold || one.calling.Load() {
			continue
		}
		if now := time.Now(); !now.Before(one.silentUntil) {
			one.silentUntil = now.Add(one.Cooldown)
			one.calling.Store(true)
			a.sound(one, open)
		}
	}
}

func (a *alarms) sound(one *armed, open int) {
	a.run(func() {
		defer one.calling.Store(false)
		if err := guarded(func() { one.Callback(one.Alarm, open) }); err != nil {
			a.failed(one.Name, err)
		}
	})
}

// replace keeps what is known of alarms whose names stay.
func (a *alarms) replace(list []Alarm) {
	known := map[string]*alarmState{}
	for _, one := range a.all {
		known[one.Name] = one.alarmState
	}
	a.all = nil
	for _, alarm := range list {
		state := known[alarm.Name]
		if state == nil {
			state = &alarmState{}
		}
		if alarm.Cooldown == 0 {
			alarm.Cooldown = defaultCooldown
		}
		a.all = append(a.all, &armed{alarm, state})
	}
}

const defaultCooldown = 5 * time.Second
