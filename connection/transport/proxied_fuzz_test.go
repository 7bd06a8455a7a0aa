package transport_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// FuzzProxied lets a client send any bytes, which arrive in pieces of the given lengths (the last
// one brings the rest), to a connection that expects a header. The outcome does not depend on the
// cuts. It is the library's own for the whole. Every byte behind the header is there, and no more
// is held than a header and the room for input.
func FuzzProxied(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream, cuts []byte, room uint16) {
		space := int(room)%4096 + 1
		whole := negotiate(space, io.EOF, string(stream))
		inPieces := negotiate(space, io.EOF, cutUp(string(stream), cuts)...)
		require.LessOrEqual(t, max(whole.most, inPieces.most), 16+65535+space)
		if whole.err != nil {
			require.EqualError(t, inPieces.err, whole.err.Error())
			require.Nil(t, whole.client)
			return
		}
		require.NoError(t, inPieces.err)
		require.Equal(t, whole.header, inPieces.header)
		for _, n := range []negotiation{whole, inPieces} {
			require.Equal(t, string(stream), string(n.header.Raw)+n.data)
			require.LessOrEqual(t, n.ahead, space)
		}
		agree(t, whole.header)
	})
}

func cutUp(stream string, cuts []byte) (pieces []string) {
	for _, cut := range cuts {
		n := min(int(cut), len(stream))
		pieces = append(pieces, stream[:n])
		stream = stream[n:]
	}
	return append(pieces, stream)
}

// agree compares with the library, which gets the whole header if it accepts one so long.
func agree(t *testing.T, h *transport.ProxyHeader) {
	if len(h.Raw) > 16+4096 {
		return
	}
	reader := bufio.NewReaderSize(strings.NewReader(string(h.Raw)), len(h.Raw))
	want, err := proxyproto.Read(reader)
	if err != nil {
		require.Nil(t, h.Source, "the library refuses what has no addresses")
		require.Nil(t, h.Destination)
		require.True(t, h.Version == 1 && strings.HasPrefix(string(h.Raw), "PROXY UNKNOWN") ||
			h.Version == 2 && errors.Is(err, proxyproto.ErrUnsupportedAddressFamilyAndProtocol), err)
		return
	}
	require.Zero(t, reader.Buffered(), "all of it")
	require.Equal(t, int(want.Version), h.Version)
	var source, destination net.Addr
	if want.Command.IsProxy() {
		source, destination = want.SourceAddr, want.DestinationAddr
	}
	require.Equal(t, source, asTheirs(h.Source, source))
	require.Equal(t, destination, asTheirs(h.Destination, destination))
	theirs, theirErr := want.TLVs()
	ours, ourErr := proxyproto.SplitTLVs(h.TLVs)
	require.Equal(t, theirErr, ourErr)
	require.Equal(t, theirs, ours)
}

// asTheirs returns an address as the library has it: it reads every unix name as a path, which ends
// at its first 0 byte.
func asTheirs(ours, theirs net.Addr) net.Addr {
	name, unix := ours.(*net.UnixAddr)
	if path, both := theirs.(*net.UnixAddr); unix && both && path.Name == "" && strings.HasPrefix(name.Name, "@") {
		return &net.UnixAddr{Net: name.Net}
	}
	return ours
}
