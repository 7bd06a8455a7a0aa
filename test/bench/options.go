package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-berth/berth/test/bench/plan"
)

// options are the command line, checked.
type options struct {
	preset  plan.Preset
	cases   []plan.Case
	servers []plan.Server
	out     string
	threads int
	list    bool
}

// parse reads the command line. Flags given override the preset.
func parse(args []string, errOutput io.Writer) (options, error) {
	var preset, cases, servers string
	var rounds, repeats int
	var duration time.Duration
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOutput)
	flags.StringVar(&preset, "preset", "short", "what to run: "+presetNames())
	flags.StringVar(&cases, "cases", "", "cases or groups of cases, separated by commas (default: the preset's)")
	flags.StringVar(&servers, "servers", "", "servers, separated by commas (default: the preset's)")
	flags.IntVar(&rounds, "rounds", 0, "rounds (default: the preset's)")
	flags.IntVar(&repeats, "repeats", -1, "how often a measurement is repeated that other processes disturbed (default: the preset's)")
	flags.DurationVar(&duration, "duration", 0, "length of a measured window (default: the preset's)")
	flags.StringVar(&o.out, "out", "out", "directory for the results")
	flags.IntVar(&o.threads, "threads", 0, "threads of the load generator (default: one per four cores)")
	flags.BoolVar(&o.list, "list", false, "list the presets, cases and servers, and do nothing")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("there is no argument %q: everything is a flag", flags.Arg(0))
	}
	var ok bool
	if o.preset, ok = plan.FindPreset(preset); !ok {
		return options{}, fmt.Errorf("there is no preset %q: choose among %s", preset, presetNames())
	}
	if err := o.override(rounds, repeats, duration, names(cases), names(servers)); err != nil {
		return options{}, err
	}
	return o, o.choose()
}

func (o *options) override(rounds, repeats int, duration time.Duration, cases, servers []string) error {
	if rounds < 0 || rounds > 1000 {
		return fmt.Errorf("-rounds must be from 1 to 1000, not %d", rounds)
	}
	if repeats < -1 || repeats > 100 {
		return fmt.Errorf("-repeats must be from 0 to 100, not %d", repeats)
	}
	if duration < 0 || duration > time.Minute {
		return fmt.Errorf("-duration must be above 0 and at most 1m, not %s", duration)
	}
	if o.threads < 0 || o.threads > 256 {
		return errors.New("-threads must be from 0 to 256")
	}
	if rounds > 0 {
		o.preset.Rounds = rounds
	}
	if repeats >= 0 {
		o.preset.Repeats = repeats
	}
	if duration > 0 {
		o.preset.Duration = duration
	}
	if len(cases) > 0 {
		o.preset.Cases = cases
	}
	if len(servers) > 0 {
		o.preset.Servers, o.preset.Sample = servers, nil
	}
	return nil
}

func (o *options) choose() (err error) {
	if o.cases, err = plan.SelectCases(o.preset.Cases); err != nil {
		return err
	}
	for i, c := range o.cases {
		o.cases[i] = o.preset.Apply(c)
	}
	o.servers, err = plan.SelectServers(o.preset.Servers)
	return err
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func presetNames() string {
	var all []string
	for _, p := range plan.Presets() {
		all = append(all, p.Name)
	}
	return strings.Join(all, ", ")
}

// listing is what -list prints.
func listing() string {
	var text strings.Builder
	fmt.Fprintln(&text, "presets")
	for _, p := range plan.Presets() {
		fmt.Fprintf(&text, "  %-16s %s\n", p.Name, p.Meaning)
	}
	fmt.Fprintln(&text, "cases (group)")
	for _, c := range plan.Cases() {
		fmt.Fprintf(&text, "  %-16s %s (%s)\n", c.ID, c.Title, c.Group)
	}
	fmt.Fprintln(&text, "servers")
	for _, s := range plan.Servers() {
		fmt.Fprintf(&text, "  %-16s %s\n", s.ID, s.Title)
	}
	return text.String()
}
