package listener

import (
	"net"
	"reflect"
	"time"

	"github.com/go-berth/berth/connection/transport"
)

// keepAlive holds the settings of TCP's keep-alive probes.
type keepAlive struct {
	net.KeepAliveConfig
	leave bool // nothing is set: the socket keeps its own values
}

// keepAlive returns the value of KeepAlive or, without one, that of config, which opened the
// listening socket.
func (o *Options) keepAlive(config net.ListenConfig) keepAlive {
	switch d := o.KeepAlive; {
	case d > 0:
		return keepAlive{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: d, Interval: d}}
	case d < 0:
		return keepAlive{}
	case config.KeepAliveConfig.Enable:
		return keepAlive{KeepAliveConfig: config.KeepAliveConfig}
	case config.KeepAlive < 0:
		return keepAlive{leave: true} // the user's Control may have set something
	}
	return keepAlive{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: config.KeepAlive}}
}

// configOf returns the keep-alive settings of l. Package net does not export them, so they are read
// by reflection. If a later version of package net keeps them elsewhere, the result is the default.
func configOf(l net.Listener) (config net.ListenConfig) {
	if _, ok := l.(*net.TCPListener); !ok {
		return config
	}
	kept := reflect.ValueOf(l).Elem().FieldByName("lc")
	if !kept.IsValid() || kept.Type() != reflect.TypeFor[net.ListenConfig]() {
		return config
	}
	probes := kept.FieldByName("KeepAliveConfig")
	config.KeepAlive = time.Duration(kept.FieldByName("KeepAlive").Int())
	config.KeepAliveConfig = net.KeepAliveConfig{
		Enable:   probes.FieldByName("Enable").Bool(),
		Idle:     time.Duration(probes.FieldByName("Idle").Int()),
		Interval: time.Duration(probes.FieldByName("Interval").Int()),
		Count:    int(probes.FieldByName("Count").Int()),
	}
	return config
}

// tune sets the socket options of a connection that package net accepted or dialled. bound says
// that it comes from a listening socket that was opened here. If not, a net.Listener of the user's
// or a net.Dialer has set the probes, and without KeepAlive they stay. The errors are those of a
// connection that is gone already, or of a kind of socket that does not know them.
func tune(conn net.Conn, o *Options, bound bool) {
	if c, ok := transport.Below[interface {
		SetKeepAliveConfig(config net.KeepAliveConfig) error
	}](conn); ok && (bound || o.KeepAlive != 0) {
		if probes := o.keepAlive(o.ListenConfig); !probes.leave {
			_ = c.SetKeepAliveConfig(probes.KeepAliveConfig)
		}
	}
	if c, ok := transport.Below[interface{ SetNoDelay(noDelay bool) error }](conn); ok && o.DisableNoDelay {
		_ = c.SetNoDelay(false)
	}
	if c, ok := transport.Below[interface{ SetReadBuffer(bytes int) error }](conn); ok && o.RecvBufferSize > 0 {
		_ = c.SetReadBuffer(o.RecvBufferSize)
	}
	if c, ok := transport.Below[interface{ SetWriteBuffer(bytes int) error }](conn); ok && o.SendBufferSize > 0 {
		_ = c.SetWriteBuffer(o.SendBufferSize)
	}
}
