package wire

import "github.com/go-berth/berth/protocol"

// form makes a connection's answers ones of this package.
type form struct{}

var (
	_ protocol.Form    = form{}
	_ protocol.Foreign = (*Write)(nil)
	_ protocol.Foreign = (*Pause)(nil)
	_ protocol.Foreign = (*Resume)(nil)
	_ protocol.Foreign = (*Close)(nil)
	_ protocol.Foreign = (*CloseWrite)(nil)
	_ protocol.Foreign = (*Abort)(nil)
	_ protocol.Foreign = (*Detach)(nil)
	_ protocol.Foreign = (*Link)(nil)
	_ protocol.Foreign = (*Unlink)(nil)
	_ protocol.Foreign = (*GetInfo)(nil)
)

// Answer implements protocol.Form. The Ack and the Token of a reply are those of a form, so there
// is nothing that cannot be sent.
func (form) Answer(reply any) any {
	e := encoder{}
	answer := e.reply(reply)
	if answer == nil {
		e.fail(unsendable("a %T", reply))
	}
	if e.err != nil {
		return &Done{Error: encodeError(e.err)}
	}
	return answer
}

// opened returns the command of a form, with its Ack and Token sealed: they go back as they came.
func opened(m any) (message any, f protocol.Form) {
	if isNil(m) {
		return nil, nil
	}
	d := decoder{}
	return d.command(m), form{}
}

// Native implements protocol.Foreign, as that of all commands does.
func (m *Write) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *Pause) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *Resume) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *Close) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *CloseWrite) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *Abort) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *Detach) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *Link) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *Unlink) Native() (any, protocol.Form) { return opened(m) }

// Native implements protocol.Foreign.
func (m *GetInfo) Native() (any, protocol.Form) { return opened(m) }
