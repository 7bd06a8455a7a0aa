// Package frame finds the frames in the bytes that a handler is shown: lines, frames with a length
// in front, and others. A decoder reads a protocol.Buffer in place. It copies nothing, holds no
// bytes and allocates nothing for a frame. It starts no goroutine and knows no network.
//
//	type session struct{ lines frame.Lines }
//
//	func (s *session) Data(socket berth.Socket, data *berth.Buffer) error {
//		for line, err := range s.lines.Frames(data) {
//			if err != nil {
//				return err
//			}
//			if _, err := fmt.Fprintf(socket, "%s\n", line); err != nil {
//				return err
//			}
//		}
//		return frame.Incomplete(data)
//	}
//
// The loop consumes one frame at each step and ends when no whole frame is left. The beginning of
// the next one stays unread and leads the next call of Data. A frame is valid until Data returns;
// what is kept for longer must be copied.
//
// # Decoders
//
//   - Lines: lines that end with LF or CR LF.
//   - Delimited: frames that end with a delimiter of one or several bytes.
//   - Fixed: frames of one size.
//   - LengthPrefixed: a binary length of 1 to 8 bytes, anywhere in a header.
//   - VarintPrefixed: a varint in front, as in delimited streams of protobuf.
//   - OctetCounted: RFC 6587 section 3.4.1, "LEN SP MSG".
//   - Syslog: either framing of RFC 6587, told apart at each frame.
//   - Split: the tokens of a bufio.SplitFunc.
//
// Lines, Delimited, Syslog and Split remember how far they have looked: each connection needs its
// own. The others have no state, and one serves all connections. A decoder may be used in turn with
// other code that consumes bytes of the same Buffer.
//
// # Limits
//
// Max of a decoder is the most bytes that one frame has on the wire, header and delimiter included.
// It cannot be off; by default it is DefaultMax. The frame waits in the read buffer of the
// connection, which grows for it: a decoder asks for the bytes that an incomplete frame still has,
// by protocol.Buffer.Need, and the handler is not called before they are there. So Max may be more
// than ReadBufferSize, and a connection that sends no long frames takes no more memory for it. Max
// should not be more than MaxReadBufferSize, 1 MiB by default: a longer frame is an error that
// names that option.
//
// # Errors
//
// A frame that is too long is a *TooLongError, a header that breaks its rules a *MalformedError.
// Both carry the first bytes of the frame and a guess at what they are, because most of them come
// from clients that speak another protocol. An error leaves the bytes unread, and the decoder finds
// it there again: the stream has no known frame from there on, and the handler should return the
// error.
//
// The end of the stream is no error of a decoder. Incomplete reports whether it came inside a
// frame.
package frame
