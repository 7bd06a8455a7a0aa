// Package check judges a history: given what an observer recorded (package history), it returns
// what of the guarantees was broken. It is a pure function of the records, so that the histories
// that break each rule can be written by hand.
//
//	rules.go          the rules, by name
//	check.go          the walk over the records
//	conn.go           what the rules know of one connection together
//	ledger.go         its writes: which were accepted, which are surely pending, which may be
//	causes.go         what may have ended it, and what surely did
//	timeouts.go       the limits of time that it may have
//	order_g1.go …     the rules, a file for each guarantee
//	rest.go           what must have happened when nothing moves any more
//
// Records of concurrent goroutines do not tell who was first. Whatever the rules conclude, they
// conclude from bounds: what surely was so, what may have been. A history that could be innocent
// is.
package check
