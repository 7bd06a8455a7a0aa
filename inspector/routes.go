package inspector

import (
	"crypto/tls"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-berth/berth"
)

//go:embed assets
var assets embed.FS

func (i *Inspector) routes() {
	files := pageFiles()
	i.mux.Handle("GET /{$}", files)
	i.mux.Handle("GET /{file}", files)
	for name, answer := range map[string]func(r *http.Request) (any, *refusal){
		"overview":    i.getOverview,
		"history":     i.getHistory,
		"tree":        i.getTree,
		"connections": i.getConnections,
		"connection":  i.getConnection,
		"closed":      i.getClosed,
	} {
		i.mux.HandleFunc("GET /api/"+name, i.guarded(answer))
	}
	for name, act := range map[string]func(r *http.Request) (any, *refusal){
		"connection/pause":  i.onConnection(func(s berth.Socket) { s.Pause() }),
		"connection/resume": i.onConnection(func(s berth.Socket) { s.Resume() }),
		"connection/close":  i.onConnection(func(s berth.Socket) { _ = s.Close() }),
		"server/suspend":    i.onServer(func(s suspender) error { s.Suspend(); return nil }),
		"server/resume":     i.onServer(func(s suspender) error { return s.Resume() }),
	} {
		i.mux.HandleFunc("POST /api/"+name, i.guarded(func(r *http.Request) (any, *refusal) {
			if refused := i.allows(r); refused != nil {
				return nil, refused
			}
			return act(r)
		}))
	}
}

// pageFiles serves the files of the page. Their types do not depend on the system's tables: a
// browser runs no script of another type.
func pageFiles() http.Handler {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // the name is a constant
	}
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t := types[path.Ext(r.URL.Path)]; t != "" {
			w.Header().Set("Content-Type", t)
		}
		server.ServeHTTP(w, r)
	})
}

var types = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8",
}

// guarded writes the JSON of an answer for clients that may have it.
func (i *Inspector) guarded(answer func(r *http.Request) (any, *refusal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refused := i.admitData(r)
		var body any
		if refused == nil {
			body, refused = answer(r)
		}
		if refused != nil {
			refused.write(w)
			return
		}
		writeJSON(w, http.StatusOK, body)
	}
}

func bad(err error) *refusal { return &refusal{http.StatusBadRequest, err.Error()} }

func (i *Inspector) getOverview(*http.Request) (any, *refusal) {
	answer := overviewJSON{
		Time: time.Now(), Began: i.began, Actions: i.options.Actions, Go: runtime.Version(), Processors: runtime.GOMAXPROCS(0),
		Servers: []serverJSON{}, Now: i.history.newest(), Warnings: i.warnings(),
	}
	for index := range i.servers {
		s := i.serverJSON(index)
		answer.Open += s.Open
		answer.Servers = append(answer.Servers, s)
	}
	return answer, nil
}

func (i *Inspector) getHistory(r *http.Request) (any, *refusal) {
	after := int64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, &refusal{http.StatusBadRequest, "after " + strconv.Quote(text) + " is no number of milliseconds since 1970"}
		}
	}
	return historyJSON{Every: historyEvery.Seconds(), Points: i.history.points(after)}, nil
}

func (i *Inspector) getConnections(r *http.Request) (any, *refusal) {
	q, err := i.parseQuery(r.URL.Query())
	if err != nil {
		return nil, bad(err)
	}
	rows, total := i.connections(q)
	return connectionsJSON{Time: time.Now(), Total: total, Offset: q.offset, Limit: q.limit, Rows: rows}, nil
}

func (i *Inspector) getClosed(r *http.Request) (any, *refusal) {
	values := r.URL.Query()
	p, err := parsePage(values)
	if err != nil {
		return nil, bad(err)
	}
	server, err := number(values, "server", -1, 0, len(i.servers)-1)
	if err != nil {
		return nil, bad(err)
	}
	return i.closed.list(p, server, values.Get("filter"), values.Get("reason")), nil
}

func (i *Inspector) getConnection(r *http.Request) (any, *refusal) {
	id := r.URL.Query().Get("id")
	var answer *detailJSON
	i.sampler.with(func(rows []row) {
		for n := range rows {
			if rows[n].id == id {
				answer = i.detail(&rows[n])
				return
			}
		}
	})
	if closed := i.closed.find(id); closed != nil {
		if answer == nil {
			answer = &detailJSON{connectionJSON: closed.connection()}
		}
		answer.Closed = closed
	}
	if answer == nil {
		return nil, &refusal{http.StatusNotFound, "no connection has this id, and none of those that ended lately had it"}
	}
	return answer, nil
}

func (i *Inspector) detail(r *row) *detailJSON {
	d := &detailJSON{connectionJSON: i.connectionJSON(r, detailWindow)}
	if source, ok := i.servers[r.server].(interface{ Options() berth.Options }); ok {
		o := source.Options().Connection.WithDefaults()
		d.Limits = &limitsJSON{
			ReadBuffer: o.ReadBufferSize, WriteBuffer: o.WriteBufferSize, WriteQueue: o.WriteQueueSize, Idle: o.IdleTimeout.Seconds(),
			Read: o.ReadTimeout.Seconds(), Write: o.WriteTimeout.Seconds(), MaxAge: o.MaxAge.Seconds(),
		}
	}
	if state := r.socket.TLS(); state != nil {
		d.TLS = &tlsJSON{
			Version: tls.VersionName(state.Version), Cipher: tls.CipherSuiteName(state.CipherSuite), ALPN: state.NegotiatedProtocol,
			Name: state.ServerName, Resumed: state.DidResume,
		}
		if len(state.PeerCertificates) > 0 {
			d.TLS.PeerName = state.PeerCertificates[0].Subject.String()
		}
	}
	return d
}

// connection is what is left to say of an ended connection.
func (c *closedJSON) connection() connectionJSON {
	return connectionJSON{
		ID: c.ID, Writer: c.ID + "/writer", Server: c.Server, Remote: c.Remote, State: "closed", Reason: c.Reason, Error: c.Error,
		Read: c.Read, Written: c.Written, Unread: c.Unread, Unsent: c.Unsent, Age: c.Age,
	}
}

func (i *Inspector) getTree(r *http.Request) (any, *refusal) {
	values := r.URL.Query()
	p, err := parsePage(values)
	if err != nil {
		return nil, bad(err)
	}
	only, err := number(values, "server", -1, 0, len(i.servers)-1)
	if err != nil {
		return nil, bad(err)
	}
	answer := treeJSON{Servers: []treeServerJSON{}}
	for index, source := range i.servers {
		if only < 0 || index == only {
			answer.Servers = append(answer.Servers, i.treeServer(index, source, p, values.Get("filter")))
		}
	}
	return answer, nil
}

func (i *Inspector) treeServer(index int, source Source, p page, filter string) treeServerJSON {
	id := source.PID().GetId()
	s := treeServerJSON{
		Index: index, Kind: kindOf(source), Addr: source.Info().Addr, PID: id, Connections: []treeNodeJSON{},
	}
	s.Acceptors, s.Parent = supervised(i.options.System, id)
	q := query{page: p, server: index, text: strings.ToLower(strings.TrimSpace(filter)), sort: "age", window: time.Second}
	rows, total := i.connections(q)
	s.Total = total
	for _, c := range rows {
		s.Connections = append(s.Connections, treeNodeJSON{
			ID: c.ID, Writer: c.Writer, Remote: c.Remote, State: c.State, Paused: c.Paused, Buffered: c.Buffered, Queued: c.QueuedWrites,
		})
	}
	return s
}

// suspender is a server that accepts.
type suspender interface {
	Suspend()
	Resume() error
}

// kindOf returns listener or dialer.
func kindOf(s Source) string {
	if _, ok := s.(suspender); ok {
		return "listener"
	}
	return "dialer"
}

// done is the answer to an action.
type done struct {
	Done bool `json:"done"`
}

func (i *Inspector) onConnection(act func(s berth.Socket)) func(*http.Request) (any, *refusal) {
	return func(r *http.Request) (any, *refusal) {
		id := r.URL.Query().Get("id")
		for _, source := range i.servers {
			if socket, found := source.Find(id); found {
				act(socket)
				i.sampler.expire()
				return done{Done: true}, nil
			}
		}
		return nil, &refusal{http.StatusNotFound, "no open connection has this id"}
	}
}

func (i *Inspector) onServer(act func(s suspender) error) func(*http.Request) (any, *refusal) {
	return func(r *http.Request) (any, *refusal) {
		index, err := number(r.URL.Query(), "server", -1, 0, len(i.servers)-1)
		if err != nil {
			return nil, bad(err)
		}
		if index < 0 {
			return nil, &refusal{http.StatusBadRequest, "the query names no server"}
		}
		server, ok := i.servers[index].(suspender)
		if !ok {
			return nil, &refusal{http.StatusConflict, "a dialer accepts no clients"}
		}
		if err := act(server); err != nil {
			return nil, &refusal{http.StatusConflict, err.Error()}
		}
		return done{Done: true}, nil
	}
}
