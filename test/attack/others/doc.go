// Package others runs the attacks of test/attack on other servers beside Berth: the tutorial's
// server with a goroutine per connection, gnet, redcon. It is a module of its own, so that their
// dependencies stay out of Berth's go.mod. Their versions are those of this module's go.mod.
//
//	go test -v -run WhoSurvivesWhat . -attack.scale 1
//
// Each server answers a line with the same line (redcon: ECHO), as its README recommends to write
// one, with its default settings; Berth with an IdleTimeout and a WriteTimeout of 5 s besides. The
// column of a server without such a limit shows the effect of its absence.
package others
