// Package faultnet makes listeners and connections fail on purpose and repeatably.
//
// There are two kinds of fault. A script sets the results of single calls, as their caller sees
// them: NewListener for Accept, NewConn for Read, Write and Close. Toxics are faults that a network
// applies to the bytes between two ends, as in toxiproxy: Latency, Bandwidth, SlowClose, Timeout,
// ResetPeer, Slicer, LimitData, Noop. A Network puts any number of them between its connections and
// the outside, one behind the other, and can be healed.
//
//	slow, cut := faultnet.Latency{Delay: time.Second}, faultnet.Slicer{Size: 3}
//	network := faultnet.NewNetwork(seed, slow, cut)
//	l := network.Listener(inner) // what it accepts goes through the toxics
//
// All random choices come from the network's seed, and all delays from package time: in a bubble of
// testing/synctest both repeat exactly. Every wait is on a channel or is a connection's own.
package faultnet
