// Package faultnet is what goes wrong with listeners and connections, on purpose and repeatably.
//
// There are two kinds of fault. A script says what becomes of single calls, as the one who makes
// them sees it: NewListener for Accept, NewConn for Read, Write and Close. Toxics are what a
// network does to the bytes between two ends, as toxiproxy has them: Latency, Bandwidth, SlowClose,
// Timeout, ResetPeer, Slicer, LimitData, Noop. A Network puts any number of them between its
// connections and the outside, one behind the other, and can be healed.
//
//	network := faultnet.NewNetwork(seed, faultnet.Latency{Delay: time.Second}, faultnet.Slicer{Size: 3})
//	l := network.Listener(inner) // what it accepts goes through the toxics
//
// Whatever is random comes from the network's seed, whatever takes time from package time: in a
// bubble of testing/synctest both repeat exactly. Every way to wait is a channel or a connection's
// own.
package faultnet
