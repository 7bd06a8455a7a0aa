package admission

import (
	"net/netip"
	"slices"
)

// prefixes is a list of networks made fast to look up: one look for each length that occurs.
// Immutable.
type prefixes struct {
	lengths []int // that occur, of IPv4 and IPv6 alike
	all     map[netip.Prefix]struct{}
}

func newPrefixes(list []netip.Prefix) prefixes {
	p := prefixes{all: make(map[netip.Prefix]struct{}, len(list))}
	for _, prefix := range list {
		prefix = unmapped(prefix).Masked()
		p.all[prefix] = struct{}{}
		if !slices.Contains(p.lengths, prefix.Bits()) {
			p.lengths = append(p.lengths, prefix.Bits())
		}
	}
	return p
}

// unmapped returns a prefix of IPv4-mapped addresses as the IPv4 prefix that it means.
func unmapped(p netip.Prefix) netip.Prefix {
	const mapped = 96 // bits before the IPv4 address
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p
}

func (p *prefixes) empty() bool { return len(p.all) == 0 }

// contain reports whether ip is in one of the networks. ip is not IPv4-mapped. The zero Addr is in
// none.
func (p *prefixes) contain(ip netip.Addr) bool {
	for _, length := range p.lengths {
		if prefix, err := ip.Prefix(length); err == nil {
			if _, found := p.all[prefix]; found && prefix.IsValid() {
				return true
			}
		}
	}
	return false
}
