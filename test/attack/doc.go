// Package attack turns on a server what turns on servers: clients that say nothing, that say it
// slowly, that never read, that reset; a process without descriptors; a neighbour at full speed.
// What it measures is what others feel of it.
//
// A server under attack is a process of its own that answers each line with the same line. Berth's
// is started by the tests of this package; those of others by the module test/attack/others, which
// uses the same attacks.
//
//	target.go       the server: its address and its process
//	probe.go        a good client: how long its answers take
//	attackers.go    many bad ones
//	silent.go       A1  they say nothing
//	slow.go         A2  they send a byte now and then and never finish a line
//	deaf.go         A3  they send and never read
//	descriptors.go  A4  there are more of them than the process has descriptors
//	resets.go       A5  they connect and reset
//	neighbour.go    A10 one that asks for all it can get
package attack
