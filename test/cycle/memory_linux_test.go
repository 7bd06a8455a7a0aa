//go:build berthcycle

package cycle_test

import "github.com/go-berth/berth/connection/transport"

var networks = []string{"memory"}

func newClient(polled *transport.Poll, _ int, message []byte) client {
	return transport.Simulate(polled.Descriptor(), message)
}
