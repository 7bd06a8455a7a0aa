// Package resp decodes the requests of Redis clients from the bytes that a handler is shown: arrays
// of bulk strings, which RESP2 and RESP3 have in common, and inline commands.
//
//	type session struct{ requests resp.Parser }
//
//	func (s *session) Data(socket berth.Socket, data *berth.Buffer) error {
//		for {
//			command, err := s.requests.Next(data)
//			if errors.Is(err, resp.ErrIncomplete) {
//				return nil
//			}
//			...
//		}
//	}
//
// A command that is whole in the Buffer is not copied: its arguments are slices of the Buffer. Of
// a command that is not whole, the bytes that have come are moved once, into memory of the
// command's own, and the Buffer is left empty. So a command may be larger than the read buffer, no
// byte is looked at twice for each piece, and a connection between two commands holds nothing.
//
// Memory is taken as the bytes come, not as a length announces them.
package resp
