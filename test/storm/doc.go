// Package storm repeats what goes wrong once in a thousand times until it would have: writers that
// race with the end of their connection, ten thousand clients that come and go, a million writes to
// a peer that does not read, replies behind which the server closes. A part of each runs in go test
// ./..., all of it by
//
//	make storm
package storm
