// Package storm repeats rare races until they would have shown up, at one failure in a thousand
// runs: writers that race with the end of their connection, ten thousand clients that connect and
// leave, a million writes to a peer that does not read, replies after which the server closes. A
// part of each runs in go test ./..., all of it by
//
//	make storm
package storm
