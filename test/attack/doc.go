// Package attack attacks a server with clients that send nothing, that send slowly, that never
// read, or that reset, with a process without free descriptors, and with a neighbour at full speed.
// It measures the effect on other clients.
//
// A server under attack is a process of its own that answers each line with the same line. The
// tests of this package start Berth's. The module test/attack/others starts other servers, for the
// same attacks.
//
//	target.go       the server: its address and its process
//	probe.go        a good client that measures how long its answers take
//	attackers.go    many bad ones
//	silent.go       A1  they say nothing
//	slow.go         A2  they send a byte now and then and never finish a line
//	deaf.go         A3  they send and never read
//	descriptors.go  A4  there are more of them than the process has descriptors
//	resets.go       A5  they connect and reset
//	neighbour.go    A10 one that asks for all it can get
package attack
