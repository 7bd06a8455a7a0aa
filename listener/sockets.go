package listener

import (
	"context"
	"fmt"
	"net"
)

// bind opens a listening socket.
func (o Options) bind(addr string) (net.Listener, error) {
	l, err := o.ListenConfig.Listen(context.Background(), o.Network, addr)
	if err != nil {
		return nil, fmt.Errorf("berth: %w", err)
	}
	return l, nil
}
