package inspector

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/missing"
	"github.com/go-berth/berth/protocol"
)

// Source is what an Inspector looks at: a *berth.Server or a *berth.Dialer.
type Source interface {
	PID() *actor.PID
	Info() protocol.ListenerInfo
	Connections() []berth.Socket
	Find(id string) (berth.Socket, bool)
	Warnings() []berth.Warning
	LoopLag(ctx context.Context) []time.Duration
}

// LeastToken is how many bytes an Options.Token has at least. 16 random bytes cannot be guessed.
const LeastToken = 16

// Options of an Inspector. The zero value shows everything to this machine and changes nothing.
type Options struct {
	// Token is a secret that requests may have to carry, as "Authorization: Bearer TOKEN". It has
	// at least LeastToken bytes, or there is none. It is compared in constant time.
	Token string
	// Actions allows requests with the Token to pause, resume and close connections, and to suspend
	// and resume servers. It needs a Token. An action is a POST, and is refused where a browser
	// sends it from a page of another origin.
	Actions bool
	// AllowRemote shows everything to clients on other machines as well, if their requests carry
	// the Token, which it needs. Without it only clients at a loopback address and on a unix socket
	// are answered. A client counts as remote where a proxy says that it forwards for it. Give the
	// http.Server TLS, or put it behind a proxy that has it: the token must not travel in the
	// clear.
	AllowRemote bool
	// Hosts are the names by which browsers may reach the Inspector, without a port, besides
	// localhost and IP addresses. Others are refused: a page of another origin could have its own
	// name resolve to this machine, and would then be of the same origin.
	Hosts []string
	// System is the actor system of the servers; nil is that of berth.Listen, Serve and Dial.
	System *actor.ActorSystem
	// Closed is how many of the connections that ended last are kept; 0 is 1,000.
	Closed int
}

// Inspector is an http.Handler. Any goroutine may call its methods.
type Inspector struct {
	options Options
	servers []Source
	mux     *http.ServeMux
	sampler sampler
	history history
	closed  closedRing
	// prefixes are what the ids of the actors below each server begin with.
	prefixes []string
	stop     context.CancelFunc
	stopped  chan struct{}
	began    time.Time

	closeOnce sync.Once
}

// New returns an Inspector of the servers and dialers. It owns one goroutine, which Close ends and
// joins. The Inspector goes on after the end of its servers, and then shows that they are empty.
func New(options Options, servers ...Source) (*Inspector, error) {
	if err := options.validate(servers); err != nil {
		return nil, err
	}
	if options.Closed == 0 {
		options.Closed = 1000
	}
	if options.System == nil {
		options.System = berth.DefaultSystem()
	}
	options.Hosts = slices.Clone(options.Hosts)
	i := &Inspector{
		options: options,
		servers: slices.Clone(servers),
		mux:     http.NewServeMux(),
		stopped: make(chan struct{}),
		began:   time.Now(),
	}
	i.sampler.servers = i.servers
	i.closed.most = options.Closed
	for _, server := range servers {
		i.prefixes = append(i.prefixes, server.PID().GetId()+"/")
	}
	i.routes()
	subscription := options.System.EventStream.Subscribe(i.hear)
	ctx, cancel := context.WithCancel(context.Background())
	i.stop = func() {
		cancel()
		options.System.EventStream.Unsubscribe(subscription)
	}
	go i.watch(ctx)
	return i, nil
}

func (o Options) validate(servers []Source) error {
	switch {
	case len(servers) == 0:
		return errors.New("inspector: no server to inspect")
	case slices.ContainsFunc(servers, func(s Source) bool { return missing.Is(s) }):
		return errors.New("inspector: a server to inspect is nil")
	case o.Token != "" && len(o.Token) < LeastToken:
		return fmt.Errorf("inspector: the Token has %d bytes, and needs %d", len(o.Token), LeastToken)
	case strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("inspector: the Token has characters other than printable ASCII without spaces")
	case o.Actions && o.Token == "":
		return errors.New("inspector: Actions needs a Token")
	case o.AllowRemote && o.Token == "":
		return errors.New("inspector: AllowRemote needs a Token")
	case o.Closed < 0:
		return fmt.Errorf("inspector: Closed %d must not be negative", o.Closed)
	}
	return nil
}

// Close ends the Inspector's goroutine and waits for it, and has it hear of no more events.
// Requests are still answered, with plots that do not go on. Later calls do nothing.
func (i *Inspector) Close() {
	i.closeOnce.Do(i.stop)
	<-i.stopped
}

// watch is the Inspector's goroutine.
func (i *Inspector) watch(ctx context.Context) {
	defer close(i.stopped)
	ticker := time.NewTicker(historyEvery)
	defer ticker.Stop()
	for {
		i.history.take(ctx, i.servers)
		i.sampler.forget()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ServeHTTP implements http.Handler.
func (i *Inspector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if refused := i.admit(r); refused != nil {
		refused.write(w)
		return
	}
	i.mux.ServeHTTP(w, r)
}
