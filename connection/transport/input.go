package transport

// Input holds the unread bytes of one connection, in at most one chunk. It holds none while it is
// empty. It belongs to the connection actor's turn.
type Input struct {
	chunk      *Chunk
	start, end uint32 // chunk.Bytes[start:end] is unread
	hint       uint32 // the size of the next fresh chunk: grows while reads fill it, so that bulk gets large reads
	needed     uint32 // how many unread bytes the handler waits for; it is here because here it takes no memory
}

// minChunk is the first chunk of a connection: small messages need no more.
const minChunk = 2 << 10

// Len returns the number of unread bytes.
func (in *Input) Len() int { return int(in.end - in.start) }

// Held returns the size of the memory behind the unread bytes.
func (in *Input) Held() int {
	if in.chunk == nil {
		return 0
	}
	return len(in.chunk.Bytes)
}

// Need notes how many unread bytes the handler waits for, 0 if it waits for no number of them.
func (in *Input) Need(n int) { in.needed = uint32(n) }

// Needed returns what Need has noted.
func (in *Input) Needed() int { return int(in.needed) }

// Bytes returns the unread bytes; they stay valid until the next call of another method.
func (in *Input) Bytes() []byte {
	if in.chunk == nil {
		return nil
	}
	return in.chunk.Bytes[in.start:in.end]
}

// Chunk returns the memory behind the unread bytes, nil if there are none.
func (in *Input) Chunk() *Chunk { return in.chunk }

// Keep says that only the last n of the unread bytes are still unread.
func (in *Input) Keep(n int) {
	in.start = in.end - uint32(n)
	if n == 0 {
		in.Release()
	}
}

// Lose says that the chunk, and with it all unread bytes, belongs to another owner now.
func (in *Input) Lose() { in.chunk, in.start, in.end = nil, 0, 0 }

// Release gives up all unread bytes.
func (in *Input) Release() {
	if in.chunk != nil {
		in.chunk.Release()
		in.Lose()
	}
}

// Space returns free memory behind the unread bytes, at most room bytes of it and at least one for
// room > 0.
func (in *Input) Space(room int) []byte {
	if in.chunk == nil {
		in.chunk = NewChunk(in.fresh(room))
	}
	if in.compacts(room) {
		in.end = uint32(copy(in.chunk.Bytes, in.Bytes()))
		in.start = 0
	}
	if size := len(in.chunk.Bytes); int(in.end) == size {
		in.grow(larger(size, room))
	}
	return in.chunk.Bytes[in.end:min(len(in.chunk.Bytes), int(in.end)+room)]
}

// fresh is how large a first chunk is to be, larger the one that takes the place of a full one.
func (in *Input) fresh(room int) int { return min(room, max(int(in.hint), minChunk)) }
func larger(size, room int) int {
	if room > size+size/4 {
		return 2 * size
	}
	return atLeast(size, size+room) // all of it, rather than a copy once more for the last part
}

// atLeast returns the size of a chunk that takes the place of one of size bytes, and that is to
// have wanted bytes. Those that are pooled double; one that is not grows by a quarter at least, so
// that bytes which come in pieces are not copied with each.
func atLeast(size, wanted int) int {
	if wanted > size && size >= 1<<maxShift {
		return max(wanted, size+size/4)
	}
	return wanted
}

// compacts reports whether Space moves the unread bytes to the chunk's beginning: little is left
// behind them.
func (in *Input) compacts(room int) bool {
	size := len(in.chunk.Bytes)
	return in.start > 0 && size-int(in.end) < min(room, size/2)
}

// SpaceGrowth returns by how much Held grows in Space with the same argument.
func (in *Input) SpaceGrowth(room int) int {
	size := in.Held()
	switch {
	case in.chunk == nil:
		return ChunkSize(in.fresh(room))
	case int(in.end) < size || in.compacts(room):
		return 0
	}
	return ChunkSize(larger(size, room)) - size
}

// Filled says that n bytes were put into space, which Space returned.
func (in *Input) Filled(n int, space []byte) {
	in.end += uint32(n)
	switch {
	case in.Len() == 0:
		in.Release()
	case n == len(space):
		in.hint = uint32(2 * len(in.chunk.Bytes))
	case n < len(in.chunk.Bytes)/4:
		in.hint = uint32(len(in.chunk.Bytes) / 2)
	}
}

// Append adds the first n bytes of c and takes c over.
func (in *Input) Append(c *Chunk, n int) {
	if in.Len() == 0 {
		in.Release()
		in.chunk, in.start, in.end = c, 0, uint32(n)
		return
	}
	if !in.fits(n) {
		in.grow(in.appended(n))
	}
	in.end += uint32(copy(in.chunk.Bytes[in.end:], c.Bytes[:n]))
	c.Release()
}

func (in *Input) fits(n int) bool { return int(in.end)+n <= len(in.chunk.Bytes) }

// appended is how large a chunk for n more bytes is to be.
func (in *Input) appended(n int) int { return atLeast(in.Held(), in.Len()+n) }

// AppendGrowth returns by how much Held grows in Append of n bytes of a chunk of the given size.
func (in *Input) AppendGrowth(size, n int) int {
	switch {
	case in.Len() == 0:
		return size - in.Held()
	case in.fits(n):
		return 0
	}
	return ChunkSize(in.appended(n)) - in.Held()
}

func (in *Input) grow(size int) {
	c := NewChunk(size)
	n := copy(c.Bytes, in.Bytes())
	in.chunk.Release()
	in.chunk, in.start, in.end = c, 0, uint32(n)
}
