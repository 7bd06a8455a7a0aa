package protocol

// Source is a Buffer as the connection behind it sees it: (*Source)(b). It is for connections,
// transports, and code that shows a handler something else than its connection does; a handler has
// no use for it. Like a Buffer it is not for use by several goroutines.
type Source Buffer

// Attach makes the Buffer show unread, whose first byte is the one that its Offset names already.
// storage owns the memory of unread; AtEOF reports eof.
func (s *Source) Attach(unread []byte, storage any, eof bool) {
	s.AttachAt((*Buffer)(s).Offset(), unread, storage, eof)
}

// AttachAt is Attach for a Buffer that did not show the bytes before: Offset reports offset.
func (s *Source) AttachAt(offset uint64, unread []byte, storage any, eof bool) {
	s.unread, s.storage, s.eof, s.end = unread, storage, eof, offset+uint64(len(unread))
	s.need, s.skipped = 0, 0
}

// Bound sets the most bytes that Need takes.
func (s *Source) Bound(most int) { s.most = most }

// ShowFrame makes the Buffer show a frame that was consumed from another one, where it began at
// offset. The memory stays the other one's: Take copies it.
func (s *Source) ShowFrame(frame []byte, of *Buffer, offset uint64) {
	s.AttachAt(offset, frame, nil, of.eof && len(of.unread) == 0)
	s.most = -1
}

// Hand consumes all unread bytes and returns them together with the owner of their memory.
func (s *Source) Hand() (unread []byte, storage any) {
	unread, storage = s.unread, s.storage
	s.unread, s.storage = nil, nil
	return unread, storage
}

// Storage returns the owner of the memory, nil once it was handed over.
func (s *Source) Storage() any { return s.storage }

// Skipped returns how many bytes Skip has discarded since Attach.
func (s *Source) Skipped() int { return s.skipped }
