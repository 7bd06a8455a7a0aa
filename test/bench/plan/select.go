package plan

import (
	"fmt"
	"slices"
	"strings"
)

// SelectCases keeps the cases named, by ID or by group, in the order of Cases. No names: all.
func SelectCases(names []string) ([]Case, error) {
	all := Cases()
	chosen := func(c Case, name string) bool { return c.ID == name || c.Group == name }
	var known []string
	for _, c := range all {
		known = append(known, c.ID)
	}
	return pick("case", all, names, chosen, known)
}

// SelectServers keeps the servers named, in the order of Servers. No names: all.
func SelectServers(names []string) ([]Server, error) {
	all := Servers()
	chosen := func(s Server, name string) bool { return s.ID == name }
	var known []string
	for _, s := range all {
		known = append(known, s.ID)
	}
	return pick("server", all, names, chosen, known)
}

func pick[T any](what string, all []T, names []string, chosen func(T, string) bool, known []string) ([]T, error) {
	for _, name := range names {
		if !slices.ContainsFunc(all, func(one T) bool { return chosen(one, name) }) {
			return nil, fmt.Errorf("there is no %s %q: choose among %s", what, name, strings.Join(known, ", "))
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(all, func(one T) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return chosen(one, name) })
	}), nil
}

// Step is one measurement: a case on a server in a round.
type Step struct {
	Round  int // from 1
	Case   Case
	Server Server
}

// Steps lists the measurements in the order they are taken: within a round case by case, within a
// case all servers one after the other, so that what is compared was measured seconds apart. Each
// round starts with another server, so that none always follows the same one. All cases but the
// first are for the servers of sample only, if there are any.
func Steps(cases []Case, servers []Server, rounds int, sample []string) []Step {
	var steps []Step
	for round := 1; round <= rounds; round++ {
		for place, c := range cases {
			if c.MaxRounds > 0 && round > c.MaxRounds {
				continue
			}
			for i := range servers {
				server := servers[(i+round-1)%len(servers)]
				sampled := place == 0 || len(sample) == 0 || slices.Contains(sample, server.ID)
				if sampled && server.TakesPart(c) {
					steps = append(steps, Step{Round: round, Case: c, Server: server})
				}
			}
		}
	}
	return steps
}
