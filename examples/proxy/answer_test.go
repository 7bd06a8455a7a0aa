package main

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/berthtest"
	"github.com/go-berth/berth/test/simnet"
)

// inMemory is accepted, but its other connection is one end of a pipe.
type inMemory struct {
	end
	server *berthtest.Server
	conn   *simnet.Conn
}

func (m *inMemory) Accepted(client berth.Socket) (err error) {
	handler := berth.Handlers(func() berth.Handler { return &dialled{end{client}} })
	m.other, err = m.server.Adopt(context.Background(), m.conn, handler, berth.DialOptions{})
	return err
}

// The server behind has sent its answer, and both of its directions have ended. What waits in the
// proxy for a client that takes 2 KiB in a second still arrives, after a minute.
func TestASlowClientGetsTheWholeAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := simnet.Options{BufferSize: 8 << 10}
		far, near := simnet.Pipe(network)
		var server *berthtest.Server
		server = berthtest.Serve(t, berth.Handlers(func() berth.Handler { return &inMemory{server: server, conn: near} }),
			berthtest.With(options(-1)), berthtest.Network(network))
		conn := server.Dial().Conn().(*simnet.Conn)
		require.NoError(t, conn.CloseWrite())
		_, err := far.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "the half-close crosses")
		answer := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
		_, err = far.Write(answer)
		require.NoError(t, err)
		require.NoError(t, far.Close())

		var got []byte
		piece := make([]byte, 2<<10)
		for err == nil {
			time.Sleep(time.Second)
			var n int
			n, err = conn.Read(piece)
			got = append(got, piece[:n]...)
		}
		require.ErrorIs(t, err, io.EOF)
		assert.True(t, bytes.Equal(answer, got), "%d bytes of %d", len(got), len(answer))
		require.NoError(t, conn.Close())
		synctest.Wait()
		assert.Empty(t, server.Connections())
	})
}
