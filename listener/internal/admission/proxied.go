package admission

import (
	"net"
	"net/netip"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// proxied is a client of which only its proxy is known, until its header tells more. It has a
// permit among MaxConnections; whether it may stay, and its permit among those from its address,
// are decided then.
type proxied struct {
	admission *Admission
	permit    connection.Permit

	// Under admission's lock.
	entry *perIPEntry
	left  bool
}

func newProxied(a *Admission) *connection.Permit {
	p := &proxied{admission: a}
	p.permit = connection.Permit{Leave: p.leave, Admit: p.admit}
	return &p.permit
}

// admit decides whether the client that the header names may stay.
func (p *proxied) admit(client net.Addr) error {
	if refusal := p.enter(ipOfAddr(client)); refusal != protocol.RefusalNone {
		return p.admission.refused(client, refusal)
	}
	return nil
}

func (p *proxied) enter(ip netip.Addr) protocol.Refusal {
	a := p.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	refusal := a.judgeLocked(ip)
	if prefix := a.perIP.prefix(ip); refusal == protocol.RefusalNone && prefix.IsValid() && !p.left {
		p.entry = a.perIP.enter(prefix)
	}
	return refusal
}

func (p *proxied) leave() {
	p.admission.mu.Lock()
	p.left = true
	entry := p.entry
	p.admission.mu.Unlock()
	p.admission.leave(entry)
}
