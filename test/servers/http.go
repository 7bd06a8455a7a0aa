package servers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"sort"
	"strings"
	"time"
)

// web is net/http with HTTP/1.1 over the plain listener.
func web() Case {
	return Case{
		Name: "net/http",
		Serve: func(l net.Listener, _ tls.Certificate) func() error {
			return serveHTTP(l, newMirror())
		},
		Dial: func(addr string, _ *x509.Certificate) (Client, error) {
			return httpClient("http://"+addr, nil), nil
		},
		Talk: talkHTTP,
	}
}

// web2 is net/http with HTTP/2: net/http serves it only on a *tls.Conn, so crypto/tls lies over the
// listener.
func web2() Case {
	return Case{
		Name: "net/http, HTTP/2",
		Serve: func(l net.Listener, certificate tls.Certificate) func() error {
			return serveHTTP(OverTLS(l, certificate), newMirror())
		},
		Dial: func(addr string, certificate *x509.Certificate) (Client, error) {
			return httpClient("https://"+addr, trusting(certificate)), nil
		},
		Talk: talkHTTP2,
	}
}

// OverTLS puts crypto/tls with HTTP/2's name over a listener.
func OverTLS(l net.Listener, certificate tls.Certificate) net.Listener {
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"h2", "http/1.1"},
		MinVersion:   tls.VersionTLS12, // h2spec and older curls
	})
}

func serveHTTP(l net.Listener, handler http.Handler) (stop func() error) {
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: Timeout}
	return running(func() error { return server.Serve(l) }, server.Close, http.ErrServerClosed)
}

// newMirror returns the handler of a server that sends each body back. /left waits for the end of
// the request's context, and /was tells that such a request has ended.
func newMirror() http.Handler {
	left := make(chan error, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Proto", r.Proto)
		w.Header().Set("Secured", fmt.Sprint(r.TLS != nil))
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) { // each line is answered at once
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = fmt.Fprintf(w, "%s!\n", lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/left", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		left <- r.Context().Err()
	})
	mux.HandleFunc("/was", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case err := <-left:
			_, _ = fmt.Fprint(w, err)
		case <-time.After(Timeout):
			http.Error(w, "the request did not end with its client", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	return mux
}

func httpTransport(config *tls.Config) *http.Transport {
	return &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: config != nil, DisableCompression: true}
}

func httpClient(url string, config *tls.Config) Client {
	transport := httpTransport(config)
	web := &http.Client{Transport: transport, Timeout: Timeout}
	return client{
		exchange: func(payload []byte) error {
			response, err := web.Post(url, "", bytes.NewReader(payload))
			if err != nil {
				return err
			}
			defer response.Body.Close()
			got, err := io.ReadAll(response.Body)
			if err != nil {
				return err
			}
			return same(payload, got)
		},
		close: func() error { transport.CloseIdleConnections(); return nil },
	}
}

// post sends a body and says what came back.
func post(web *http.Client, url string, body []byte) (line string, err error) {
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	ctx := httptrace.WithClientTrace(context.Background(), trace)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := web.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	h := response.Header
	return fmt.Sprintf("%d bytes: %s, Proto %s, secured %s, reused %v, mirrored %v", len(body), response.Status,
		h.Get("Proto"), h.Get("Secured"), reused, bytes.Equal(body, got)), nil
}

// common is the part of the talks that both versions of HTTP have.
func (t *talk) common(web *http.Client, url string) {
	for _, size := range []int{0, 10, 1 << 20, 3, 4 << 20} {
		t.step("post", func() error {
			line, err := post(web, url, Payload(size))
			t.sayf("%s", line)
			return err
		})
	}
	t.step("stream", func() error { return t.stream(web, url) })
	t.step("a client that leaves", func() error { return t.leaves(web, url) })
	t.step("a handler that aborts", func() error {
		response, err := web.Get(url + "/panic")
		if err == nil {
			_ = response.Body.Close()
			return fmt.Errorf("an answer: %s", response.Status)
		}
		t.sayf("aborted: EOF %v", errors.Is(err, io.EOF))
		return nil
	})
	t.step("after it", func() error {
		line, err := post(web, url, Payload(5))
		t.sayf("%s", line)
		return err
	})
}

// stream sends each line only when the one before has been answered.
func (t *talk) stream(web *http.Client, url string) error {
	r, w := io.Pipe()
	defer w.Close()
	request, err := http.NewRequest(http.MethodPost, url+"/stream", r)
	if err != nil {
		return err
	}
	go func() { _, _ = io.WriteString(w, "0\n") }() // net/http sends the head with the first bytes
	response, err := web.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for i := range 10 {
		if !lines.Scan() {
			return fmt.Errorf("no line %d: %w", i, lines.Err())
		}
		t.sayf("line %s", lines.Text())
		if _, err := fmt.Fprintln(w, i+1); err != nil {
			return err
		}
	}
	_ = w.Close()
	rest, err := io.ReadAll(response.Body)
	t.sayf("then %q", rest)
	return err
}

// leaves has a client end a request, of which the server's handler hears by its context.
func (t *talk) leaves(web *http.Client, url string) error {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/left", http.NoBody)
	if err != nil {
		return err
	}
	response, err := web.Do(request)
	if err == nil {
		_ = response.Body.Close()
		return fmt.Errorf("an answer: %s", response.Status)
	}
	t.sayf("left: %v", errors.Is(err, context.Canceled))
	response, err = web.Get(url + "/was")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	t.sayf("its handler: %s %s", response.Status, text)
	return err
}

func talkHTTP(addr string, _ *x509.Certificate) ([]string, error) {
	t := &talk{}
	transport := httpTransport(nil)
	defer transport.CloseIdleConnections()
	t.common(&http.Client{Transport: transport, Timeout: Timeout}, "http://"+addr)
	t.step("pipelined requests", func() error {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		get := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
		last := "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
		if _, err := io.WriteString(c, strings.Repeat(get, 100)+last); err != nil {
			return err
		}
		all, err := io.ReadAll(c)
		t.sayf("pipelined: %d answers, then EOF", strings.Count(string(all), "HTTP/1.1 200 OK"))
		return err
	})
	t.step("an upload with 100-continue", func() error {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		head := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
		if _, err := io.WriteString(c, head); err != nil {
			return err
		}
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		t.sayf("%q", line)
		if _, err := io.WriteString(c, "hello"); err != nil {
			return err
		}
		all, err := io.ReadAll(r)
		t.sayf("hello came back: %v", strings.HasSuffix(string(all), "\r\n\r\nhello"))
		return err
	})
	t.step("what is no request", func() error {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "this is no HTTP\r\n\r\n"); err != nil {
			return err
		}
		all, err := io.ReadAll(c)
		first, _, _ := strings.Cut(string(all), "\r\n")
		t.sayf("%s, then EOF", first)
		return err
	})
	return t.result()
}

func talkHTTP2(addr string, certificate *x509.Certificate) ([]string, error) {
	t := &talk{}
	transport := httpTransport(trusting(certificate))
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport, Timeout: Timeout}
	t.common(web, "https://"+addr)
	t.step("streams at once", func() error {
		type result struct {
			line string
			err  error
		}
		results := make(chan result)
		const streams = 8
		for i := range streams {
			go func() {
				line, err := post(web, "https://"+addr, Payload(256<<10+i))
				results <- result{line, err}
			}()
		}
		var lines []string
		var failed error
		for range streams {
			r := <-results
			lines, failed = append(lines, r.line), errors.Join(failed, r.err)
		}
		sort.Strings(lines)
		t.lines = append(t.lines, lines...)
		return failed
	})
	t.step("plain text", func() error {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		all, err := io.ReadAll(c)
		first, _, _ := strings.Cut(string(all), "\r\n")
		t.sayf("%s, then EOF", first)
		return err
	})
	return t.result()
}
