package admission

import (
	"net/netip"

	"github.com/go-berth/berth/connection"
)

// perIP counts the open connections by the network their client is in: a prefix of its address.
// There is an entry only while one of its connections is open, so a client cannot make it grow
// without holding descriptors. Its admission guards it.
type perIP struct {
	most    int // 0: unlimited, and no client is counted
	v4, v6  int // lengths of the prefixes
	entries map[netip.Prefix]*perIPEntry
}

// perIPEntry is one network. Its connections share the one permit.
type perIPEntry struct {
	prefix netip.Prefix
	open   int
	permit connection.Permit
}

// prefix returns the network that ip is in, the zero Prefix if it is not counted.
func (p *perIP) prefix(ip netip.Addr) netip.Prefix {
	if p.most <= 0 {
		return netip.Prefix{}
	}
	bits := p.v6
	if ip.Is4() {
		bits = p.v4
	}
	prefix, _ := ip.Prefix(bits) // fails for the zero Addr alone: the lengths are valid
	return prefix
}

func (p *perIP) full(prefix netip.Prefix) bool {
	e := p.entries[prefix]
	return e != nil && e.open >= p.most
}

// enter counts one more connection of prefix. A new entry gets its permit from the caller.
func (p *perIP) enter(prefix netip.Prefix) *perIPEntry {
	e := p.entries[prefix]
	if e == nil {
		e = &perIPEntry{prefix: prefix}
		if p.entries == nil {
			p.entries = map[netip.Prefix]*perIPEntry{}
		}
		p.entries[prefix] = e
	}
	e.open++
	return e
}

// leave counts one connection less.
func (p *perIP) leave(e *perIPEntry) {
	if e.open--; e.open == 0 {
		delete(p.entries, e.prefix)
	}
}
