package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// shows: the address and the token are in the log; a connection is listed, and the token closes it.
func shows(t *testing.T, echo starter) {
	p := echo("-inspect", "127.0.0.1:0", "-inspect-actions")
	conn := program.DialTCP(t, p.Addr(t))
	assertEchoes(t, conn, "hello")
	p.AwaitStderr(t, "msg=inspector")
	match := regexp.MustCompile(`msg=inspector url=(\S+) token=(\S+)`).FindStringSubmatch(strings.Join(p.Stderr(), "\n"))
	require.Len(t, match, 3)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, path, token string) (status int, body string) {
		r, err := http.NewRequest(method, match[1]+path, http.NoBody)
		require.NoError(t, err)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := client.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(text)
	}
	_, page := ask(http.MethodGet, "", "")
	assert.Contains(t, page, "<title>Berth inspector</title>")
	_, body := ask(http.MethodGet, "api/connections", "")
	var table struct {
		Rows []struct{ ID, Remote string }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &table))
	require.Len(t, table.Rows, 1)
	assert.Equal(t, conn.LocalAddr().String(), table.Rows[0].Remote)
	status, body := ask(http.MethodPost, "api/connection/close?id="+url.QueryEscape(table.Rows[0].ID), match[2])
	assert.Equal(t, http.StatusOK, status, body)
	_, err := conn.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	p.Signal(t, os.Interrupt)
	assert.Zero(t, p.Wait(t))
}
