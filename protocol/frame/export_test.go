package frame

import "github.com/go-berth/berth/protocol"

// Looks returns at how many bytes of b the next Next will look for the delimiter.
func (d *Delimited) Looks(b *protocol.Buffer) int { return min(b.Len(), d.Max) - d.search.from(b) }
