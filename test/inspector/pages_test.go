package inspector

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/inspector"
)

var screenshots = flag.String("screenshots", "", "directory to save pictures of the pages in, as ../../docs; takes 20 s longer")

const (
	connections = 1000
	token       = "the-token-of-this-test"
	patience    = 30 * time.Second
)

// world is a server with its clients, the inspector of it, and a browser.
type world struct {
	server  *berth.Server
	clients []net.Conn
	url     string // of the inspector
	browser context.Context

	mu       sync.Mutex
	statuses map[string][]int // of the answers to POST, by path
}

func browserPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func TestPages(t *testing.T) {
	path := browserPath()
	if path == "" {
		t.Skip("there is no Chromium in the PATH, so the pages are not looked at")
	}
	w := newWorld(t, path)
	t.Run("the table shows every connection, a page at a time", w.table)
	t.Run("the tree shows every actor", w.tree)
	t.Run("a row moves within 2 s of traffic", w.rowMoves)
	t.Run("no token is refused", w.noToken)
	t.Run("pause, resume and close act", w.acts)
	t.Run("suspend and resume act", w.suspends)
	t.Run("what has ended is shown with its reason", w.ended)
	t.Run("another origin is refused", w.otherOrigin)
	if *screenshots != "" {
		t.Run("screenshots", w.screenshots)
	}
}

func newWorld(t *testing.T, path string) *world {
	t.Helper()
	w := &world{statuses: map[string][]int{}}
	echo := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		_, err := socket.Forward(data)
		return err
	})
	var err error
	w.server, err = berth.Listen("127.0.0.1:0", berth.Measure(echo, nil), berth.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.server.Close()) })
	pages, err := inspector.New(inspector.Options{Actions: true, Token: token}, w.server)
	require.NoError(t, err)
	t.Cleanup(pages.Close)
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		recorded := &status{ResponseWriter: rw}
		pages.ServeHTTP(recorded, r)
		if r.Method != http.MethodGet {
			w.mu.Lock()
			w.statuses[r.URL.Path] = append(w.statuses[r.URL.Path], recorded.code)
			w.mu.Unlock()
		}
	}))
	t.Cleanup(web.Close)
	w.url = web.URL
	for range connections {
		conn, err := net.Dial("tcp", w.server.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		w.clients = append(w.clients, conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, w.server.WaitConnections(ctx, func(open int) bool { return open == connections }))

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	allocator, cancel1 := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel1)
	limited, cancel2 := context.WithTimeout(allocator, 4*patience)
	t.Cleanup(cancel2)
	browser, cancel3 := chromedp.NewContext(limited)
	t.Cleanup(cancel3)
	w.browser = browser
	require.NoError(t, chromedp.Do(browser, chromedp.EmulateViewport(1280, 860)))
	return w
}

// status remembers the code of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// open shows a page. An error of its scripts, and anything that its policy forbids, fails the test.
func (w *world) open(t *testing.T, hash string) {
	t.Helper()
	ctx, cancel := context.WithCancel(w.browser)
	messages := chromedp.Console(ctx)
	t.Cleanup(func() {
		cancel()
		for m, err := range messages {
			if err != nil {
				return
			}
			expected := strings.Contains(m.String(), "401") // a test asks for it
			assert.False(t, !expected && (m.IsException() || strings.HasPrefix(m.String(), "error")), "the browser's console: %s", m)
		}
	})
	require.NoError(t, chromedp.Do(w.browser, chromedp.Navigate("about:blank"), chromedp.Navigate(w.url+"/"+hash)))
}

// await waits until an expression of the page is true.
func (w *world) await(t *testing.T, expression string) {
	t.Helper()
	_, err := chromedp.Run(w.browser, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	require.NoError(t, err, expression)
}

func eval[T any](t *testing.T, w *world, expression string, options ...chromedp.EvaluateOption) T {
	t.Helper()
	value, err := chromedp.Run(w.browser, chromedp.Evaluate[T](expression, options...))
	require.NoError(t, err, expression)
	return value
}

func (w *world) click(t *testing.T, selector string) {
	t.Helper()
	require.NoError(t, chromedp.Do(w.browser, chromedp.Click(chromedp.CSS(selector))), selector)
}

const rows = `document.querySelectorAll("#connections tbody tr")`

func (w *world) table(t *testing.T) {
	w.open(t, "#/connections")
	w.await(t, rows+`.length === 50`)
	assert.Equal(t, "1 to 50 of 1\u2009000", eval[string](t, w, `document.querySelector(".pager span").textContent`))
	assert.Equal(t, "1\u2009000", eval[string](t, w, `document.getElementById("open-count").textContent`))
	first := eval[string](t, w, rows+`[0].dataset.id`)
	w.click(t, ".pager button:last-child")
	w.await(t, `document.querySelector(".pager span").textContent.startsWith("51 to 100")`)
	assert.NotEqual(t, first, eval[string](t, w, rows+`[0].dataset.id`))
	addr := w.clients[500].LocalAddr().String()
	require.NoError(t, chromedp.Do(w.browser, chromedp.SendKeys(chromedp.CSS("input[type=search]"), addr)))
	w.await(t, rows+`.length === 1`)
	assert.Equal(t, addr, eval[string](t, w, rows+`[0].querySelector("a").textContent`))
}

func (w *world) tree(t *testing.T) {
	w.open(t, "#/tree")
	w.await(t, `document.querySelectorAll("#tree .connections > li").length === 50`)
	kinds := eval[map[string]int](t, w, `Array.from(document.querySelectorAll("#tree .kind")).reduce(
		(n, e) => ({...n, [e.textContent]: (n[e.textContent] ?? 0) + 1}), {})`)
	assert.Equal(t, map[string]int{"supervisor": 1, "acceptor": 1, "connections": 1, "connection": 50, "writer": 50}, kinds)
	assert.Equal(t, "1\u2009000", eval[string](t, w, `document.querySelector("#tree .chip.info").textContent`))
}

// rowMoves: the table is sorted by rate, and a connection that was silent becomes its first row.
// One of three has to be in time: the machine may be busy.
func (w *world) rowMoves(t *testing.T) {
	w.open(t, "#/connections?sort=rate&window=1")
	w.await(t, rows+`.length === 50`)
	best := time.Hour
	for n := 0; n < 3 && best >= 2*time.Second; n++ {
		conn := w.clients[100+n]
		began := time.Now()
		stop := make(chan struct{})
		var talking sync.WaitGroup
		talking.Go(func() { talk(conn, 1000<<n, 10*time.Millisecond, stop) })
		w.await(t, fmt.Sprintf(`%s[0].querySelector("a").textContent === %q`, rows, conn.LocalAddr()))
		best = min(best, time.Since(began))
		close(stop)
		talking.Wait()
	}
	t.Logf("the row was the first %v after the first byte", best.Round(time.Millisecond))
	assert.Less(t, best, 2*time.Second)
}

func (w *world) post(t *testing.T, path string) []int {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.statuses[path]
}

// socket returns the server's end of a client's connection.
func (w *world) socket(t *testing.T, conn net.Conn) berth.Socket {
	t.Helper()
	for _, socket := range w.server.Connections() {
		if socket.RemoteAddr().String() == conn.LocalAddr().String() {
			return socket
		}
	}
	require.Fail(t, "the connection is not there")
	return nil
}

// noToken: the page asks for the token before it acts, and one that is wrong is refused.
func (w *world) noToken(t *testing.T) {
	socket := w.socket(t, w.clients[200])
	w.open(t, "#/connections?filter="+w.clients[200].LocalAddr().String())
	w.await(t, rows+`.length === 1`)
	assert.Zero(t, eval[int](t, w, `document.querySelectorAll("[data-act]").length`), "there are no buttons without a token")
	code := eval[int](t, w, fmt.Sprintf(`fetch("api/connection/close?id=" + encodeURIComponent(%q), {method: "POST"}).then((r) => r.status)`, socket.PID().Id), chromedp.EvalAwaitPromise)
	assert.Equal(t, http.StatusUnauthorized, code)
	w.unlock(t, "not-the-token-of-this-test")
	w.await(t, `document.querySelectorAll("[data-act]").length === 2`)
	w.click(t, "[data-act=close]")
	w.await(t, `document.getElementById("toast").textContent.includes("needs the token")`)
	assert.Equal(t, []int{http.StatusUnauthorized, http.StatusUnauthorized}, w.post(t, "/api/connection/close"))
	assert.Equal(t, "open", socket.Info().State.String())
	w.await(t, `document.getElementById("lock").textContent === "Unlock actions"`)
}

func (w *world) unlock(t *testing.T, with string) {
	t.Helper()
	w.await(t, `!document.getElementById("lock").hidden`)
	w.click(t, "#lock")
	require.NoError(t, chromedp.Do(w.browser, chromedp.SendKeys(chromedp.CSS("#token"), with), chromedp.Click(chromedp.CSS("#token-ok"))))
	w.await(t, `document.getElementById("lock").textContent === "Lock actions"`)
}

func (w *world) acts(t *testing.T) {
	conn := w.clients[300]
	socket := w.socket(t, conn)
	w.open(t, "#/connections?filter="+conn.LocalAddr().String())
	w.await(t, rows+`.length === 1`)
	w.unlock(t, token)
	w.await(t, `document.querySelector("[data-act=pause]")`+` !== null`)
	w.click(t, "[data-act=pause]")
	w.await(t, rows+`[0].textContent.includes("paused") && document.querySelector("[data-act=resume]") !== null`)
	assert.True(t, socket.Info().Paused)
	_, err := io.WriteString(conn, "echo")
	require.NoError(t, err)
	w.click(t, "[data-act=resume]")
	_, err = io.ReadFull(conn, make([]byte, 4))
	require.NoError(t, err)
	w.await(t, `document.querySelector("[data-act=pause]") !== null`)
	w.click(t, "[data-act=close]")
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	conn.Close()
	w.await(t, rows+`.length === 0`)
	assert.Equal(t, []int{http.StatusOK}, w.post(t, "/api/connection/pause"))
}

func (w *world) suspends(t *testing.T) {
	w.open(t, "#/")
	w.await(t, `document.querySelector(".servers button")?.textContent === "Suspend"`)
	w.click(t, ".servers button")
	w.await(t, `document.querySelector(".servers .chip")?.textContent === "suspended"`)
	assert.False(t, w.server.Info().Accepting)
	w.click(t, ".servers button")
	w.await(t, `document.querySelector(".servers .chip")?.textContent === "accepting"`)
	assert.True(t, w.server.Info().Accepting)
}

func (w *world) ended(t *testing.T) {
	conn := w.clients[400].(*net.TCPConn)
	addr := conn.LocalAddr().String()
	require.NoError(t, conn.SetLinger(0))
	require.NoError(t, conn.Close())
	w.open(t, "#/closed?filter="+addr)
	w.await(t, `document.querySelectorAll("#closed tbody tr").length === 1`)
	assert.Contains(t, eval[string](t, w, `document.querySelector("#closed tbody tr").textContent`), "peer reset")
	w.click(t, "#closed tbody a")
	w.await(t, `document.querySelector(".steps .now")?.textContent === "closed"`)
	assert.Contains(t, eval[string](t, w, `document.querySelector("main").textContent`), "connection reset by peer")
}

// otherOrigin: a page of another origin can neither act, with or without the token, nor read.
func (w *world) otherOrigin(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(rw, `<!doctype html><title>other</title><iframe name="frame"></iframe><form method="post" target="frame"></form>`)
	}))
	defer other.Close()
	socket := w.socket(t, w.clients[600])
	for _, host := range []string{other.URL, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)} {
		require.NoError(t, chromedp.Do(w.browser, chromedp.Navigate(host)))
		target := fmt.Sprintf("%s/api/connection/pause?id=%s", w.url, strings.ReplaceAll(socket.PID().Id, "$", "%24"))
		before := len(w.post(t, "/api/connection/pause"))
		fetch := func(options string) string {
			return eval[string](t, w, fmt.Sprintf(`fetch(%q, %s).then((r) => r.type + " " + r.status, (e) => "failed")`, target, options), chromedp.EvalAwaitPromise)
		}
		assert.Equal(t, "failed", fetch(`{method: "POST", headers: {Authorization: "Bearer `+token+`"}}`), "the preflight is refused")
		assert.Equal(t, "failed", fetch(`{method: "POST"}`), "the answer cannot be read")
		assert.Equal(t, "failed", fetch(`{method: "POST", mode: "no-cors"}`), "by Cross-Origin-Resource-Policy")
		assert.Equal(t, "failed", eval[string](t, w, fmt.Sprintf(`fetch("%s/api/connections").then((r) => r.text(), (e) => "failed")`, w.url), chromedp.EvalAwaitPromise))
		eval[any](t, w, fmt.Sprintf(`(document.forms[0].action = %q, document.forms[0].submit(), 0)`, target))
		require.Eventually(t, func() bool { return len(w.post(t, "/api/connection/pause")) >= before+4 }, patience, 5*time.Millisecond)
		for _, code := range w.post(t, "/api/connection/pause")[before:] {
			assert.Contains(t, []int{http.StatusForbidden, http.StatusMethodNotAllowed}, code)
		}
		assert.False(t, socket.Info().Paused)
	}
}
