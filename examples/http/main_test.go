package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// site is the program as it runs, with a client.
type site struct {
	*program.Program
	secured bool
	addr    string
	client  *http.Client
}

func start(t *testing.T, path string, arguments ...string) *site {
	t.Helper()
	p := program.Start(t, path, append([]string{"-addr", "127.0.0.1:0"}, arguments...)...)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	s := &site{p, len(arguments) > 0 && arguments[0] == "-tls", p.Addr(t), &http.Client{Transport: transport, Timeout: program.Limit}}
	return s
}

func (s *site) url(scheme, path string) string {
	if s.secured {
		scheme += "s"
	}
	return scheme + "://" + s.addr + path
}

// get returns the version of HTTP and the body.
func (s *site) get(t *testing.T) (proto, text string) {
	t.Helper()
	response, err := s.client.Get(s.url("http", "/"))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.Proto, string(body)
}

// websocket opens a conversation.
func (s *site) websocket(t *testing.T) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), program.Limit)
	defer cancel()
	// HTTP/1.1, also over TLS: WebSocket over HTTP/2 is another protocol.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}}
	t.Cleanup(transport.CloseIdleConnections)
	conn, response, err := websocket.Dial(ctx, s.url("ws", "/ws"), &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	if response.Body != nil {
		_ = response.Body.Close()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(longestMessage)
	return conn
}

func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.Read(p) // never fails
	return p
}

func TestTheProgram(t *testing.T) {
	path := program.Build(t, ".")
	for name, arguments := range map[string][]string{"plain": nil, "TLS": {"-tls"}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, path, arguments...)
			for _, test := range []struct {
				says string
				run  func(t *testing.T, s *site)
			}{
				{"keeps connections", keepsConnections},
				{"sends bodies back", echoes},
				{"serves WebSocket", servesWebSocket},
				{"serves curl", servesCurl},
			} {
				t.Run(test.says, func(t *testing.T) { test.run(t, s) })
			}
			shutsDown(t, s)
		})
	}
	t.Run("aborts on a second signal", func(t *testing.T) { aborts(t, start(t, path)) })
}

// keepsConnections: the second request comes over the connection of the first, and the server says
// how many bytes of it have come.
func keepsConnections(t *testing.T, s *site) {
	want := "HTTP/1.1"
	if s.secured {
		want = "HTTP/2.0"
	}
	var from string
	for range 3 {
		proto, text := s.get(t)
		assert.Equal(t, want, proto)
		assert.Regexp(t, "^"+want+` from 127\.0\.0\.1:\d+: the actor .* has read \d+ bytes\n$`, text)
		client, _, _ := strings.Cut(text, ": ")
		if from != "" {
			assert.Equal(t, from, client)
		}
		from = client
	}
}

func echoes(t *testing.T, s *site) {
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			body := random(1 << 20)
			response, err := s.client.Post(s.url("http", "/echo"), "", bytes.NewReader(body))
			if !assert.NoError(t, err) {
				return
			}
			defer response.Body.Close()
			got, err := io.ReadAll(response.Body)
			assert.NoError(t, err)
			assert.True(t, bytes.Equal(body, got), "%d bytes of %d", len(got), len(body))
		})
	}
	clients.Wait()
}

func servesWebSocket(t *testing.T, s *site) {
	conn := s.websocket(t)
	for _, message := range [][]byte{{}, []byte("hello"), random(1 << 20)} {
		sent := make(chan error, 1)
		go func() { sent <- conn.Write(t.Context(), websocket.MessageBinary, message) }()
		kind, answer, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.NoError(t, <-sent)
		assert.Equal(t, websocket.MessageBinary, kind)
		assert.True(t, bytes.Equal(message, answer), "%d bytes of %d", len(answer), len(message))
	}
	require.NoError(t, conn.Close(websocket.StatusNormalClosure, ""))
}

func servesCurl(t *testing.T, s *site) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	for flag, want := range map[string]string{"--http1.1": "HTTP/1.1", "--http2": "HTTP/2.0"} {
		if flag == "--http2" && !s.secured {
			continue
		}
		output, err := exec.CommandContext(t.Context(), curl, "--silent", "--show-error", "--insecure", flag, s.url("http", "/")).CombinedOutput()
		require.NoError(t, err, "%s", output)
		assert.True(t, strings.HasPrefix(string(output), want+" from"), "%s", output)
	}
}

// begin sends the first bytes of a request and returns once they have come back.
func begin(t *testing.T, s *site) (body io.WriteCloser, answer io.Reader) {
	t.Helper()
	sent, write := io.Pipe()
	go func() { _, _ = io.WriteString(write, "begun ") }()
	response, err := s.client.Post(s.url("http", "/echo"), "", sent)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	first := make([]byte, len("begun "))
	_, err = io.ReadFull(response.Body, first)
	require.NoError(t, err)
	require.Equal(t, "begun ", string(first))
	return write, response.Body
}

// shutsDown: a request that is under way is answered, and a WebSocket client is told.
func shutsDown(t *testing.T, s *site) {
	conn := s.websocket(t)
	body, answer := begin(t, s)
	s.Signal(t, os.Interrupt)
	_, _, err := conn.Read(t.Context())
	assert.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err), "%v", err)
	_, err = io.WriteString(body, "and ended")
	require.NoError(t, err)
	require.NoError(t, body.Close())
	text, err := io.ReadAll(answer)
	require.NoError(t, err)
	assert.Equal(t, "and ended", string(text))
	s.client.CloseIdleConnections()
	assert.Zero(t, s.Wait(t), "standard error: %q", s.Stderr())
}

func aborts(t *testing.T, s *site) {
	body, answer := begin(t, s)
	s.Signal(t, os.Interrupt)
	s.AwaitStderr(t, "msg=draining")
	s.Signal(t, os.Interrupt)
	assert.Equal(t, 1, s.Wait(t))
	assert.Contains(t, strings.Join(s.Stderr(), "\n"), "1 connections aborted")
	_, err := io.ReadAll(answer)
	assert.Error(t, err)
	_ = body.Close()
}
