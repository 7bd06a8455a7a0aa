package inspector_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/inspector"
)

func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var value map[string]any
	require.NoError(t, json.Unmarshal(text, &value), "%s", text)
	return value
}

const bearer = "Bearer " + token

func TestOptionsThatAreRefused(t *testing.T) {
	server := newSource()
	var none *source
	for says, new := range map[string]func() (*inspector.Inspector, error){
		"no server to inspect":       func() (*inspector.Inspector, error) { return inspector.New(inspector.Options{}) },
		"a server to inspect is nil": func() (*inspector.Inspector, error) { return inspector.New(inspector.Options{}, server, none) },
		"the Token has 5 bytes, and needs 16": func() (*inspector.Inspector, error) {
			return inspector.New(inspector.Options{Token: "short", Actions: true}, server)
		},
		"other than printable ASCII": func() (*inspector.Inspector, error) {
			return inspector.New(inspector.Options{Token: "a token with spaces"}, server)
		},
		"Actions needs a Token": func() (*inspector.Inspector, error) { return inspector.New(inspector.Options{Actions: true}, server) },
		"AllowRemote needs a Token": func() (*inspector.Inspector, error) {
			return inspector.New(inspector.Options{AllowRemote: true}, server)
		},
		"Closed -1 must not be negative": func() (*inspector.Inspector, error) { return inspector.New(inspector.Options{Closed: -1}, server) },
	} {
		i, err := new()
		assert.ErrorContains(t, err, says)
		assert.Nil(t, i)
	}
}

// Which requests are answered at all. Each case differs from one that is answered in one thing.
func TestWhoMayLook(t *testing.T) {
	local := start(t, inspector.Options{}, newSource())
	remote := start(t, inspector.Options{AllowRemote: true, Token: token, Hosts: []string{"inspector.example"}}, newSource())
	for name, test := range map[string]struct {
		handler http.Handler
		path    string
		change  func(r *http.Request)
		status  int
	}{
		"this machine":                     {local, "/api/overview", func(*http.Request) {}, http.StatusOK},
		"this machine over IPv6":           {local, "/api/overview", func(r *http.Request) { r.RemoteAddr = "[::1]:1" }, http.StatusOK},
		"this machine, mapped":             {local, "/api/overview", func(r *http.Request) { r.RemoteAddr = "[::ffff:127.0.0.1]:1" }, http.StatusOK},
		"the whole loopback network":       {local, "/api/overview", func(r *http.Request) { r.RemoteAddr = "127.8.9.10:1" }, http.StatusOK},
		"another machine":                  {local, "/api/overview", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }, http.StatusForbidden},
		"another machine, the page":        {local, "/", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }, http.StatusForbidden},
		"another machine, mapped":          {local, "/api/overview", func(r *http.Request) { r.RemoteAddr = "[::ffff:192.0.2.1]:1" }, http.StatusForbidden},
		"a machine of the same network":    {local, "/api/overview", func(r *http.Request) { r.RemoteAddr = "[fe80::1%eth0]:1" }, http.StatusForbidden},
		"no address":                       {local, "/api/overview", func(r *http.Request) { r.RemoteAddr = "" }, http.StatusForbidden},
		"no address, on a unix socket":     {local, "/api/overview", overUnix, http.StatusOK},
		"a proxy's client":                 {local, "/api/overview", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") }, http.StatusForbidden},
		"a proxy's client, RFC 7239":       {local, "/api/overview", func(r *http.Request) { r.Header.Set("Forwarded", "for=127.0.0.1") }, http.StatusForbidden},
		"the name localhost":               {local, "/api/overview", func(r *http.Request) { r.Host = "LocalHost:7001" }, http.StatusOK},
		"an IPv6 address":                  {local, "/api/overview", func(r *http.Request) { r.Host = "[::1]:7001" }, http.StatusOK},
		"an IPv6 address without a port":   {local, "/api/overview", func(r *http.Request) { r.Host = "[::1]" }, http.StatusOK},
		"a name of another origin":         {local, "/api/overview", func(r *http.Request) { r.Host = "evil.example:7001" }, http.StatusForbidden},
		"a name of another origin, page":   {local, "/", func(r *http.Request) { r.Host = "evil.example:7001" }, http.StatusForbidden},
		"a name that begins as localhost":  {local, "/api/overview", func(r *http.Request) { r.Host = "localhost.evil.example" }, http.StatusForbidden},
		"no host":                          {local, "/api/overview", func(r *http.Request) { r.Host = "" }, http.StatusForbidden},
		"the page itself":                  {local, "/api/overview", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }, http.StatusOK},
		"typed into a browser":             {local, "/api/overview", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, http.StatusOK},
		"a page of another site":           {local, "/api/overview", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"a page of another port":           {local, "/api/overview", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, http.StatusForbidden},
		"a link of another site":           {local, "/", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusOK},
		"remote with the token":            {remote, "/api/overview", fromAfar(bearer), http.StatusOK},
		"remote, lower case":               {remote, "/api/overview", fromAfar("bearer " + token), http.StatusOK},
		"remote without a token":           {remote, "/api/overview", fromAfar(""), http.StatusUnauthorized},
		"remote with another token":        {remote, "/api/overview", fromAfar("Bearer " + strings.Repeat("x", len(token))), http.StatusUnauthorized},
		"remote with half the token":       {remote, "/api/overview", fromAfar(bearer[:20]), http.StatusUnauthorized},
		"remote with more than the token":  {remote, "/api/overview", fromAfar(bearer + "x"), http.StatusUnauthorized},
		"remote, the token by Basic":       {remote, "/api/overview", fromAfar("Basic " + token), http.StatusUnauthorized},
		"remote, the token in the query":   {remote, "/api/overview?token=" + token, fromAfar(""), http.StatusUnauthorized},
		"remote, the page":                 {remote, "/", fromAfar(""), http.StatusOK},
		"remote, a name of the options":    {remote, "/api/overview", func(r *http.Request) { fromAfar(bearer)(r); r.Host = "inspector.example" }, http.StatusOK},
		"remote, another name":             {remote, "/api/overview", func(r *http.Request) { fromAfar(bearer)(r); r.Host = "other.example" }, http.StatusForbidden},
		"this machine needs no token":      {remote, "/api/overview", func(*http.Request) {}, http.StatusOK},
		"a proxy's client needs the token": {remote, "/api/overview", func(r *http.Request) { r.Header.Set("X-Real-Ip", "192.0.2.1") }, http.StatusUnauthorized},
		"the path cannot hide the API":     {remote, "/x/../api/overview", fromAfar(""), http.StatusTemporaryRedirect},
		"doubled slashes neither":          {remote, "//api/overview", fromAfar(""), http.StatusTemporaryRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(http.MethodGet, test.path)
			test.change(r)
			w := answer(test.handler, r)
			assert.Equal(t, test.status, w.Code, "%s", w.Body)
			if test.status >= 400 {
				assert.NotEmpty(t, decode(t, w.Body.Bytes())["error"])
				assert.NotContains(t, w.Body.String(), "servers")
			}
			assert.Empty(t, w.Header().Values("Access-Control-Allow-Origin"))
			assert.Contains(t, w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'")
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		})
	}
}

func overUnix(r *http.Request) {
	r.RemoteAddr = "@"
	*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/s", Net: "unix"}))
}

func fromAfar(authorization string) func(r *http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = "192.0.2.1:1"
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
	}
}

// An action that is refused does nothing.
func TestWhoMayAct(t *testing.T) {
	const path = "/api/connection/close?id=one"
	for name, test := range map[string]struct {
		options inspector.Options
		method  string
		headers []string
		status  int
	}{
		"with the token": {inspector.Options{Actions: true, Token: token}, http.MethodPost, []string{"Authorization", bearer}, http.StatusOK},
		"from the page": {inspector.Options{Actions: true, Token: token}, http.MethodPost,
			[]string{"Authorization", bearer, "Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:7001"}, http.StatusOK},
		"actions are off":       {inspector.Options{Token: token}, http.MethodPost, []string{"Authorization", bearer}, http.StatusForbidden},
		"everything is off":     {inspector.Options{}, http.MethodPost, []string{"Authorization", "Bearer "}, http.StatusForbidden},
		"no token":              {inspector.Options{Actions: true, Token: token}, http.MethodPost, nil, http.StatusUnauthorized},
		"an empty token":        {inspector.Options{Actions: true, Token: token}, http.MethodPost, []string{"Authorization", "Bearer "}, http.StatusUnauthorized},
		"another token":         {inspector.Options{Actions: true, Token: token}, http.MethodPost, []string{"Authorization", "Bearer " + token[1:]}, http.StatusUnauthorized},
		"the token as a cookie": {inspector.Options{Actions: true, Token: token}, http.MethodPost, []string{"Cookie", "token=" + token}, http.StatusUnauthorized},
		"GET":                   {inspector.Options{Actions: true, Token: token}, http.MethodGet, []string{"Authorization", bearer}, http.StatusMethodNotAllowed},
		"HEAD":                  {inspector.Options{Actions: true, Token: token}, http.MethodHead, []string{"Authorization", bearer}, http.StatusMethodNotAllowed},
		"a preflight":           {inspector.Options{Actions: true, Token: token}, http.MethodOptions, []string{"Origin", "http://evil.example"}, http.StatusMethodNotAllowed},
		"a page of another site": {inspector.Options{Actions: true, Token: token}, http.MethodPost,
			[]string{"Authorization", bearer, "Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"}, http.StatusForbidden},
		"a page of another port": {inspector.Options{Actions: true, Token: token}, http.MethodPost,
			[]string{"Authorization", bearer, "Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:9"}, http.StatusForbidden},
		"an old browser, another origin": {inspector.Options{Actions: true, Token: token}, http.MethodPost,
			[]string{"Authorization", bearer, "Origin", "http://evil.example"}, http.StatusForbidden},
		"an old browser, another port": {inspector.Options{Actions: true, Token: token}, http.MethodPost,
			[]string{"Authorization", bearer, "Origin", "http://127.0.0.1:9"}, http.StatusForbidden},
		"a page without an origin": {inspector.Options{Actions: true, Token: token}, http.MethodPost,
			[]string{"Authorization", bearer, "Origin", "null"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			one := newSocket("one", crowd(1)[0].info)
			i := start(t, test.options, newSource(one))
			w := answer(i, request(test.method, path, test.headers...))
			assert.Equal(t, test.status, w.Code, "%s", w.Body)
			assert.Equal(t, test.status == http.StatusOK, len(one.did) == 1, "%v", one.did)
			assert.Empty(t, w.Header().Values("Access-Control-Allow-Origin"))
			assert.Empty(t, w.Header().Values("Access-Control-Allow-Headers"))
			assert.Equal(t, test.options.Actions, get[overview](t, i, "/api/overview").Actions)
		})
	}
}

func TestActions(t *testing.T) {
	sockets := crowd(3)
	server := newSource(sockets...)
	type dialer struct{ inspector.Source } // it has neither Suspend nor Resume
	i := start(t, inspector.Options{Actions: true, Token: token}, server, dialer{newSource()})
	act := func(path string) (status int, says any) {
		w := answer(i, request(http.MethodPost, "/api/"+path, "Authorization", bearer))
		return w.Code, decode(t, w.Body.Bytes())["error"]
	}
	id := "?id=" + strings.ReplaceAll(sockets[1].pid.Id, "$", "%24")
	for _, path := range []string{"connection/pause", "connection/resume", "connection/close"} {
		status, says := act(path + id)
		assert.Equal(t, http.StatusOK, status, "%s: %v", path, says)
	}
	assert.Equal(t, []string{"pause", "resume", "close"}, sockets[1].did)
	assert.Empty(t, sockets[0].did)
	for _, path := range []string{"server/suspend?server=0", "server/resume?server=0"} {
		status, says := act(path)
		assert.Equal(t, http.StatusOK, status, "%s: %v", path, says)
	}
	assert.Equal(t, []string{"suspend", "resume"}, server.did)

	server.refuses = errors.New("the address is taken")
	status, says := act("server/resume?server=0")
	assert.Equal(t, http.StatusConflict, status)
	assert.Equal(t, "the address is taken", says)
	status, says = act("server/suspend?server=1")
	assert.Equal(t, http.StatusConflict, status)
	assert.Equal(t, "a dialer accepts no clients", says)
	status, says = act("server/suspend")
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Equal(t, "the query names no server", says)
	status, says = act("server/suspend?server=2")
	assert.Equal(t, http.StatusBadRequest, status, says)
	status, says = act("connection/close?id=none")
	assert.Equal(t, http.StatusNotFound, status)
	assert.Equal(t, "no open connection has this id", says)
}
