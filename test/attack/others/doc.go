// Package others turns the attacks of test/attack on other servers beside Berth: the goroutine per
// connection that a tutorial ends with, gnet, redcon. It is a module of its own, so that what they
// depend on stays out of Berth's go.mod. Their versions are those of go.mod.
//
//	go test -v -run WhoSurvivesWhat . -attack.scale 1
//
// Each server answers a line with the same line (redcon: ECHO), as its README recommends to write
// one, with its default settings; Berth with an IdleTimeout and a WriteTimeout of 5 s besides.
// Where a server lacks such a limit, that is what its column shows.
package others
