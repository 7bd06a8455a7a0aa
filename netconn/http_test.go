package netconn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
)

// web is a server of net/http on a listener, and a client of it. Both end with the test.
func web(t *testing.T, l net.Listener, dial func() (net.Conn, error), handler http.Handler, secured bool) (*http.Server, *http.Client, string) {
	t.Helper()
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial() },
		ForceAttemptHTTP2: true,
	}
	_, transport.TLSClientConfig = setup.TLS()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		assert.ErrorIs(t, receive(t, served), http.ErrServerClosed)
	})
	scheme := "http"
	if secured {
		scheme = "https"
	}
	return server, &http.Client{Transport: transport}, scheme + "://localhost"
}

// mirror sends the body back, and says which version of HTTP it was. It reads all of it first:
// after an answer that begins before, net/http keeps no connection.
func mirror(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Proto", r.Proto)
	body, _ := io.ReadAll(r.Body)
	_, _ = w.Write(body)
}

// plain are the networks with bytes of the client's own: net/http puts its own TLS over them.
func plain() (some []network) {
	for _, n := range networks {
		if !n.secured {
			some = append(some, n)
		}
	}
	return some
}

// posts sends a body and requires it back. It reports whether the connection was one of before.
func posts(t *testing.T, client *http.Client, url string, body []byte) (proto string, reused bool) {
	t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got), "%d bytes of %d", len(got), len(body))
	return response.Header.Get("Proto"), reused
}

func TestHTTPKeepsItsConnectionAlive(t *testing.T) {
	each(t, plain(), func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		_, client, url := web(t, l, dial, http.HandlerFunc(mirror), false)
		for i, size := range []int{0, 10, 1 << 20, 3, 10 << 20, 5} {
			proto, reused := posts(t, client, url, bytes.Repeat([]byte{byte(i)}, size))
			assert.Equal(t, "HTTP/1.1", proto)
			assert.Equal(t, i > 0, reused)
		}
		assert.Equal(t, uint64(1), l.Server().Info().Accepted)
	})
}

func TestHTTPOverTheTLSOfTheServersOwn(t *testing.T) {
	n := networks[3]
	require.True(t, n.secured)
	l, _, _ := n.open(t, mostQueued, listener.Options{})
	dial := func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	_, client, url := web(t, l, dial, http.HandlerFunc(mirror), true)
	for i := range 3 {
		proto, reused := posts(t, client, url, bytes.Repeat([]byte("x"), 1<<20))
		assert.Equal(t, "HTTP/1.1", proto)
		assert.Equal(t, i > 0, reused)
	}
}

func TestHTTP2OverTLSOverTheBridge(t *testing.T) {
	each(t, plain(), func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		config, _ := setup.TLS()
		config = config.Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
		_, client, url := web(t, tls.NewListener(l, config), dial, http.HandlerFunc(mirror), true)
		posts(t, client, url, nil)
		results := make(chan string)
		const streams = 8
		for range streams {
			go func() {
				response, err := client.Post(url, "", strings.NewReader(strings.Repeat("x", 1<<20)))
				if err != nil {
					results <- err.Error()
					return
				}
				defer response.Body.Close()
				n, err := io.Copy(io.Discard, response.Body)
				results <- fmt.Sprint(response.Header.Get("Proto"), " ", n, " ", err)
			}()
		}
		for range streams {
			assert.Equal(t, "HTTP/2.0 1048576 <nil>", receive(t, results))
		}
		assert.Equal(t, uint64(1), l.Server().Info().Accepted)
	})
}

func TestAHijackedConnectionIsTheConnAndHasHalfCloses(t *testing.T) {
	each(t, plain(), func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		hijacked := make(chan error, 1)
		_, _, _ = web(t, l, dial, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			hijacked <- func() error {
				conn, buffered, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return err
				}
				defer conn.Close()
				c := conn.(*Conn)
				if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n"); err != nil {
					return err
				}
				all, err := io.ReadAll(buffered) // up to the client's FIN
				if err != nil {
					return err
				}
				if _, err := c.Write(bytes.ToUpper(all)); err != nil {
					return err
				}
				return c.CloseWrite()
			}()
		}), false)
		client, err := dial()
		require.NoError(t, err)
		defer client.Close()
		write(t, client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nearly ")
		reader := bufio.NewReader(client)
		for _, want := range []string{"HTTP/1.1 101 Switching Protocols\r\n", "\r\n"} {
			line, err := reader.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, want, line)
		}
		write(t, client, "and late")
		closeWrite(t, client)
		rest, err := io.ReadAll(reader)
		require.NoError(t, err)
		assert.Equal(t, "EARLY AND LATE", string(rest))
		assert.NoError(t, receive(t, hijacked))
	})
}

// net/http learns of it by a Read under way, which it ends by a deadline in the past.
func TestARequestsContextEndsWithItsClient(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		begun, ended := make(chan struct{}), make(chan error, 1)
		_, _, _ = web(t, l, dial, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			ended <- r.Context().Err()
		}), false)
		client, err := dial()
		require.NoError(t, err)
		write(t, client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		receive(t, begun)
		reset(t, client)
		assert.ErrorIs(t, receive(t, ended), context.Canceled)
	})
}

func TestAShutdownOfHTTPWaitsForRequestsAndClosesTheListener(t *testing.T) {
	each(t, plain(), func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		begun, goOn := make(chan struct{}), make(chan struct{})
		server, client, url := web(t, l, dial, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-goOn
			_, _ = io.WriteString(w, "done")
		}), false)
		answer := make(chan string, 1)
		go func() {
			response, err := client.Get(url)
			if err != nil {
				answer <- err.Error()
				return
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			answer <- string(text)
		}()
		receive(t, begun)
		shut := make(chan error, 1)
		go func() { shut <- server.Shutdown(t.Context()) }()
		eventually(t, func() bool { return !l.Server().Info().Accepting })
		close(goOn)
		assert.Equal(t, "done", receive(t, answer))
		assert.NoError(t, receive(t, shut))
		client.CloseIdleConnections()
		receive(t, l.Server().Done())
	})
}
