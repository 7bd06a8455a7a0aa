// Package check judges a history: from the records of an observer (package history) it returns the
// rules of the guarantees that were broken. It is a pure function of the records, so a history that
// breaks a rule can be written by hand.
//
//	rules.go          the rules, by name
//	check.go          the walk over the records
//	conn.go           what the rules know of one connection together
//	ledger.go         its writes: which were accepted, which are surely pending, which may be
//	causes.go         what may have ended it, and what surely did
//	timeouts.go       the limits of time that it may have
//	order_g1.go …     the rules, a file for each guarantee
//	become_g1.go      of those of G1, what concerns handlers that come by Become
//	rest.go           what must have happened when nothing moves any more
//
// Records of concurrent goroutines do not tell which goroutine was first. The rules therefore
// conclude from bounds: the facts that are sure, and those that are possible. A history that may
// have kept a rule counts as one that has kept it.
package check
