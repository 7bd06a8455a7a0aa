package inspector_test

import (
	"net/http"
	"path"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/inspector"
)

// Every file that the page names is there, with the type that a browser asks for, and none comes
// from elsewhere: the page works without a network.
func TestThePageIsWhole(t *testing.T) {
	i := start(t, inspector.Options{}, newSource())
	names := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"`)
	elsewhere := regexp.MustCompile(`(?i)(?:https?:|src=".?)//[^"'\s]*`)
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	seen := map[string]bool{}
	var look func(name string)
	look = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		w := answer(i, request(http.MethodGet, "/"+name))
		require.Equal(t, http.StatusOK, w.Code, name)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		if name != "" {
			assert.Equal(t, types[path.Ext(name)], w.Header().Get("Content-Type"), name)
		}
		text := w.Body.String()
		for _, url := range elsewhere.FindAllString(text, -1) {
			assert.Equal(t, "http://www.w3.org/2000/svg", url, "%s: a name that is not fetched", name)
		}
		assert.NotContains(t, text, "innerHTML", name)
		for _, match := range names.FindAllStringSubmatch(text, -1) {
			look(match[1] + match[2])
		}
	}
	look("")
	assert.Len(t, seen, 12, "%v", seen)
	assert.Equal(t, http.StatusNotFound, answer(i, request(http.MethodGet, "/none.js")).Code)
	assert.Equal(t, http.StatusNotFound, answer(i, request(http.MethodGet, "/assets/app.js")).Code)
	page := answer(i, request(http.MethodGet, "/")).Body.String()
	assert.NotRegexp(t, `<script(?:[^>]*)>[^<]|<style|\son[a-z]+=|\sstyle=`, page, "the policy of the page allows nothing inline")
}

func TestTheInspectorBelowAPath(t *testing.T) {
	i := start(t, inspector.Options{}, newSource(crowd(2)...))
	mounted := http.StripPrefix("/debug/berth", i)
	assert.Equal(t, http.StatusOK, answer(mounted, request(http.MethodGet, "/debug/berth/")).Code)
	assert.Equal(t, 2, get[table](t, mounted, "/debug/berth/api/connections").Total)
	assert.NotRegexp(t, `(?:src|href)="/`, answer(mounted, request(http.MethodGet, "/debug/berth/")).Body.String(), "addresses are relative")
}

// Close may be called twice, and requests go on.
func TestClose(t *testing.T) {
	i := start(t, inspector.Options{}, newSource(crowd(2)...))
	i.Close()
	i.Close()
	assert.Equal(t, 2, get[table](t, i, "/api/connections").Total)
}
