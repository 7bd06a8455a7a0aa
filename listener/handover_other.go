//go:build !unix || aix

package listener

import (
	"net"
	"os"
)

func duplicate(net.Listener) (*os.File, error) { return nil, errNoHandover }
